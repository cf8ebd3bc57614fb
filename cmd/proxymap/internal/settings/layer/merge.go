package layer

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Merge lays over over base, and returns what results; either may be nil. Both belong to the result.
//
// What both have as objects is merged by key, and what both have as lists by index. null, an empty object and an empty list
// unset a value, and leave an object and a list as they are, as in .NET. A secret is replaced whole.
func Merge(base, over *Value) *Value {
	switch {
	case base == nil:
		return over
	case over == nil:
		return base
	case over.whole:
		return over
	case !base.holds():
		return over
	case over.Kind == Null || over.holds() && len(over.Members)+len(over.Items) == 0:
		return base
	case !over.holds():
		return over
	}
	base, over = base.listed(), over.listed()
	if base.Kind == List && over.Kind == List {
		return base.mergeList(over)
	}
	return base.keyed().mergeObject(over.keyed())
}

// holds reports whether v is an object or a list.
func (v *Value) holds() bool { return v.Kind == Object || v.Kind == List }

func (v *Value) mergeObject(over *Value) *Value {
	for _, m := range over.Members {
		i := v.find(m.Name)
		switch {
		case i < 0:
			v.add(m)
		case secret(m.Name):
			v.Members[i] = m
		default:
			if m.Value = Merge(v.Members[i].Value, m.Value); m.Value != v.Members[i].Value {
				v.Members[i] = m
			}
		}
	}
	return v
}

// secret reports whether a key is one whose value may be {"Env": …} or {"File": …}: two forms of it do not mix.
func secret(name string) bool {
	return strings.EqualFold(name, "Username") || strings.EqualFold(name, "Password") || strings.EqualFold(name, "Token")
}

func (v *Value) mergeList(over *Value) *Value {
	if v.numbers() == nil && over.numbers() == nil && len(over.Items) <= len(v.Items) {
		for i, item := range over.Items {
			v.Items[i] = Merge(v.Items[i], item)
		}
		return v
	}
	items := map[int]*Value{}
	for i, item := range v.Items {
		items[v.Number(i)] = item
	}
	for i, item := range over.Items {
		n := over.Number(i)
		items[n] = Merge(items[n], item)
	}
	v.setItems(items)
	return v
}

// setItems gives a list its items by their numbers.
func (v *Value) setItems(items map[int]*Value) {
	numbers := make([]int, 0, len(items))
	for n := range items {
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, cmp.Compare[int])
	v.Items = v.Items[:0:0]
	for _, n := range numbers {
		v.Items = append(v.Items, items[n])
	}
	if v.rare = nil; len(numbers) > 0 && numbers[len(numbers)-1] != len(numbers)-1 {
		v.rare = &rare{numbers: numbers}
	}
}

// listed is v as a list, if it is an object whose keys are all numbers.
func (v *Value) listed() *Value {
	if v.Kind != Object || len(v.Members) == 0 {
		return v
	}
	items := make(map[int]*Value, len(v.Members))
	for i := range v.Members {
		n, ok := index(v.Members[i].Name)
		if !ok {
			return v
		}
		items[n] = v.Members[i].Value
	}
	out := &Value{Kind: List, From: v.From, whole: v.whole}
	out.setItems(items)
	return out
}

// keyed is v as an object, if it is a list.
func (v *Value) keyed() *Value {
	if v.Kind != List {
		return v
	}
	out := &Value{Kind: Object, From: v.From, whole: v.whole}
	for i, item := range v.Items {
		out.add(Member{strconv.Itoa(v.Number(i)), item.From, item})
	}
	return out
}

// index is the number that a key is, if it is one as a list has them.
func index(key string) (n int, ok bool) {
	n, err := strconv.Atoi(key)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == key
}

// NoItem is the first member of an object that is no number, if others are: of a list, one is written wrongly. nil: none is.
func (v *Value) NoItem() *Member {
	var first *Member
	some := false
	for i := range v.Members {
		if _, ok := index(v.Members[i].Name); ok {
			some = true
		} else if first == nil {
			first = &v.Members[i]
		}
	}
	if !some {
		return nil
	}
	return first
}

// Settle makes a list of each object whose keys are all numbers. It is called when all layers are merged: until then
// numbers of a list may come from several.
func (v *Value) Settle() *Value {
	if v == nil {
		return nil
	}
	v = v.listed()
	for i := range v.Members {
		v.Members[i].Value = v.Members[i].Value.Settle()
	}
	for i := range v.Items {
		v.Items[i] = v.Items[i].Settle()
	}
	return v
}
