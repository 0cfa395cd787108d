"""Makes report.html and revenue.svg of a CSV file with day, orders and revenue."""

import csv
import html
import os
import pathlib
import sys

with open(sys.argv[1], newline="") as f:
    rows = [(r["day"], int(r["orders"]), float(r["revenue"])) for r in csv.DictReader(f)]
if not rows:
    sys.exit(f"{sys.argv[1]} has no rows")

results = pathlib.Path(os.environ["DAYFLY_RESULTS"])
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 320, 60, 40


def plot(rows):
    """A bar for each day. Each has a title, which browsers show and screen readers say."""
    top = max(revenue for _, _, revenue in rows) * 1.1
    step = (WIDTH - LEFT) / len(rows)
    scale = (HEIGHT - BOTTOM - 20) / top
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">',
        "<title>Revenue by day</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for n in range(5):
        y = HEIGHT - BOTTOM - n * top / 4 * scale
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{n * top / 4:.0f}</text>')
    for i, (day, _, revenue) in enumerate(rows):
        x, high = LEFT + i * step, revenue * scale
        out.append(
            f'<rect x="{x + step * 0.15:.1f}" y="{HEIGHT - BOTTOM - high:.1f}" width="{step * 0.7:.1f}" height="{high:.1f}" fill="#2b6cb0">'
            f"<title>{html.escape(day)}: {revenue:.2f}</title></rect>"
        )
        out.append(f'<text x="{x + step / 2:.1f}" y="{HEIGHT - 16}" text-anchor="middle" fill="#444">{html.escape(day[5:])}</text>')
    return "\n".join(out + ["</svg>"])


svg = plot(rows)
(results / "revenue.svg").write_text(svg + "\n")
orders, revenue = sum(r[1] for r in rows), sum(r[2] for r in rows)
best = max(rows, key=lambda r: r[2])
table = "\n".join(f"<tr><td>{html.escape(d)}</td><td>{n}</td><td>{r:.2f}</td></tr>" for d, n, r in rows)
(results / "report.html").write_text(
    f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sales</title>
<h1>Sales, {html.escape(rows[0][0])} to {html.escape(rows[-1][0])}</h1>
<p>{orders} orders, {revenue:.2f} in all; the best day was {html.escape(best[0])} with {best[2]:.2f}.</p>
{svg}
<table><tr><th>day</th><th>orders</th><th>revenue</th></tr>
{table}
</table></html>
"""
)
print(f"{len(rows)} days, {orders} orders, {revenue:.2f}")
