package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dayfly-io/dayfly/internal/bucket"
	"github.com/dayfly-io/dayfly/internal/store"
)

const (
	notePrefix = "records/notes/"
	noteFolder = 200 // characters to a folder: a component holds no more than 255
)

// noteKey spells any text as a key so that texts that begin alike have keys that begin alike. Long
// ones go into folders; the dot at the end keeps a note from being the folder of a longer one.
func noteKey(text string) string {
	return notePath(text) + "."
}

func notePath(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	spelt := b.String()
	path := notePrefix
	for len(spelt) > noteFolder {
		path, spelt = path+spelt[:noteFolder]+"/", spelt[noteFolder:]
	}
	return path + spelt
}

// PutNote implements store.Store.
func (s *Store) PutNote(ctx context.Context, n store.Note) error {
	err := errors.New("its key is not UTF-8") // and would be another when it is read
	if utf8.ValidString(n.Key) {
		err = s.write(ctx, noteKey(n.Key), n, bucket.Condition{})
	}
	if err != nil {
		return fmt.Errorf("store note %q: %w", n.Key, err)
	}
	return nil
}

// Notes implements store.Store.
func (s *Store) Notes(ctx context.Context, prefix string, now time.Time) (out []store.Note, err error) {
	for info, err := range s.b.List(ctx, notePath(prefix), "") {
		var n store.Note
		if err == nil {
			n, _, err = read(ctx, s, info.Key, func(data []byte) (n store.Note, err error) {
				if json.Unmarshal(data, &n) != nil || noteKey(n.Key) != info.Key {
					err = store.ErrNotFound // a note that makes no sense, or is another, is none
				}
				return n, err
			})
		}
		switch {
		case errors.Is(err, store.ErrNotFound): // deleted meanwhile
		case err != nil:
			return nil, fmt.Errorf("read notes %q: %w", prefix, err)
		case n.Valid(now):
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b store.Note) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// DeleteNote implements store.Store.
func (s *Store) DeleteNote(ctx context.Context, key string) error {
	if err := s.b.Delete(ctx, noteKey(key)); err != nil {
		return fmt.Errorf("delete note %q: %w", key, err)
	}
	return nil
}
