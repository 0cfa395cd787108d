package redact

// trie finds every form in one pass over a text, after Aho and Corasick: a state is the longest
// ending of the text so far that is the beginning of a form. States are indexes; 0 is "none".
type trie struct {
	marks []string
	root  [256]int32 // what a byte leads to from state 0
	child []int32    // a state's first child
	next  []int32    // its next sibling
	label []byte     // the byte that leads to it
	fail  []int32    // the longest proper ending that is a state too
	depth []int32    // its length
	best  []int32    // length of the longest form it ends with; 0: none
	who   []int32    // whose form that is
	wide  map[int32]*[256]int32
}

// crowd is from how many children on a state gets a table of its own.
const crowd = 8

func newTrie(forms [][]string, marks []string) *trie {
	t := &trie{marks: marks, wide: map[int32]*[256]int32{}}
	t.state(0, 0)
	for who, list := range forms {
		for _, f := range list {
			t.insert(f, int32(who))
		}
	}
	t.link()
	return t
}

func (t *trie) state(depth int32, label byte) int32 {
	t.child, t.next = append(t.child, 0), append(t.next, 0)
	t.label, t.depth = append(t.label, label), append(t.depth, depth)
	t.fail, t.best, t.who = append(t.fail, 0), append(t.best, 0), append(t.who, 0)
	return int32(len(t.label) - 1)
}

func (t *trie) insert(form string, who int32) {
	s := int32(0)
	for i := range len(form) {
		c := t.to(s, form[i])
		if c == 0 {
			c = t.state(int32(i+1), form[i])
			if s == 0 {
				t.root[form[i]] = c
			}
			t.next[c], t.child[s] = t.child[s], c
		}
		s = c
	}
	if t.best[s] == 0 { // the same form of two secrets belongs to the first
		t.best[s], t.who[s] = int32(len(form)), who
	}
}

// to is the child of s that b leads to, or 0.
func (t *trie) to(s int32, b byte) int32 {
	if s == 0 {
		return t.root[b]
	}
	if table := t.wide[s]; table != nil {
		return table[b]
	}
	for c := t.child[s]; c != 0; c = t.next[c] {
		if t.label[c] == b {
			return c
		}
	}
	return 0
}

func (t *trie) step(s int32, b byte) int32 {
	for {
		if c := t.to(s, b); c != 0 || s == 0 {
			return c
		}
		s = t.fail[s]
	}
}

// link finds every state's fail state, the shallow ones first.
func (t *trie) link() {
	for queue := []int32{0}; len(queue) > 0; queue = queue[1:] {
		s := queue[0]
		n := 0
		for c := t.child[s]; c != 0; c = t.next[c] {
			n++
			queue = append(queue, c)
			if s == 0 {
				continue
			}
			f := t.step(t.fail[s], t.label[c])
			t.fail[c] = f
			if t.best[c] == 0 {
				t.best[c], t.who[c] = t.best[f], t.who[f]
			}
		}
		if n > crowd {
			table := new([256]int32)
			for c := t.child[s]; c != 0; c = t.next[c] {
				table[t.label[c]] = c
			}
			t.wide[s] = table
		}
	}
}
