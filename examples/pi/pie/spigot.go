package main

import (
	"fmt"
	"math/big"
)

// terms is how many terms of the series one step takes in. The big state is
// multiplied once by their product instead of once by each of them, which is
// where nearly all the time would go otherwise.
const terms = 512

// digits is how many decimal digits that many terms are sure to give:
// log10(27/2) = 1.1303… for each.
const digits = terms * 113 / 100

// A spigot yields the digits of π one block after another, with no limit fixed
// beforehand. It is Gibbons' streaming algorithm (2006) over Gosper's series
//
//	π = 3 + 1/60·(8 + 2·3/(7·8·3)·(13 + 3·5/(10·11·3)·(18 + …)))
//
// A digit that was handed out is final: it is the same for a lower and an
// upper bound of everything the series has yet to say.
//
// The state stands for the function x → (q·x + r)/t, where x is what remains
// of the series from term i on.
type spigot struct {
	q, r, t *big.Int
	i       int64
	shift   *big.Int // 10^digits
}

func newSpigot() *spigot {
	return &spigot{
		q:     big.NewInt(1),
		r:     big.NewInt(180),
		t:     big.NewInt(60),
		i:     2,
		shift: new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil),
	}
}

// next returns the next block of digits, without a decimal point. The first
// block begins with the 3 and is one longer than the others.
func (s *spigot) next() string {
	for {
		q, r, t := product(s.i, s.i+terms)
		s.i += terms
		s.r.Mul(s.r, t)
		s.r.Add(s.r, r.Mul(r, s.q))
		s.q.Mul(s.q, q)
		s.t.Mul(s.t, t)
		if block, ok := s.extract(); ok {
			return block
		}
	}
}

// extract takes the next block of digits out of the state, if every x that is
// still possible gives the same block.
func (s *spigot) extract() (string, bool) {
	// What remains from term i on lies between 5i-2 (the term alone) and 6i-2:
	// each further term weighs less than 2/27 of the one before.
	low, spread := big.NewInt(5*s.i-2), big.NewInt(s.i)

	rest := low.Mul(low, s.q)
	rest.Add(rest, s.r)
	rest.Mul(rest, s.shift)
	block, rest := new(big.Int).QuoRem(rest, s.t, rest)

	q := new(big.Int).Mul(s.q, s.shift)
	if rest.Add(rest, spread.Mul(spread, q)).Cmp(s.t) >= 0 {
		return "", false
	}
	s.q = q
	s.r.Mul(s.r, s.shift)
	s.r.Sub(s.r, new(big.Int).Mul(block, s.t))
	return fmt.Sprintf("%0*s", digits, block.Text(10)), true
}

// product composes the functions of terms from ≤ i < to into one, by halves, so
// that numbers of like size are multiplied.
func product(from, to int64) (q, r, t *big.Int) {
	if to-from == 1 {
		i := from
		u := 3 * (3*i + 1) * (3*i + 2)
		return big.NewInt(i * (2*i - 1)), big.NewInt(u * (5*i - 2)), big.NewInt(u)
	}
	half := (from + to) / 2
	q, r, t = product(from, half)
	q2, r2, t2 := product(half, to)
	r.Mul(r, t2)
	r.Add(r, r2.Mul(r2, q))
	return q.Mul(q, q2), r, t.Mul(t, t2)
}
