//! The text from which ron reads a type, and the position of each part of the tree in it.

use crate::{
    Node, Span, Value,
    print::{Group, Lead, begin, push_name, scalar},
};

/// A tree on one line.
pub(super) struct Printed<'a> {
    pub(super) text: String,
    /// Outermost first, in the order of the text.
    places: Vec<Place<'a>>,
}

/// A node in the text.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) node: &'a Node,
    pub(super) span: Span,
    /// The index of the enclosing place, and the step that leads here from it.
    pub(super) within: Option<(usize, Lead<'a>)>,
    /// Whether it is the only content of a name, for which ron expects no brackets of its own.
    pub(super) is_unwrapped: bool,
}

impl<'a> Printed<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        let mut printed = Self { text: String::new(), places: Vec::new() };
        printed.write(node, None);
        printed
    }

    fn write(&mut self, node: &'a Node, within: Option<(usize, Lead<'a>)>) {
        let place = self.begin(node, within);
        match Group::of(node) {
            None => scalar(node, &mut self.text),
            Some(group) => {
                begin(&group, &mut self.text);
                match group.parts.as_slice() {
                    // With `unwrap_variant_newtypes`, a variant's content has no brackets of its own.
                    [(lead, inner)] if group.name.is_some() && is_unwrapped(inner) => {
                        self.write_unwrapped(inner, (place, *lead));
                    }
                    parts => self.write_parts(parts, place),
                }
                self.text.push(group.close);
            }
        }
        self.places[place].span.end = self.text.len();
    }

    fn begin(&mut self, node: &'a Node, within: Option<(usize, Lead<'a>)>) -> usize {
        let start = self.text.len();
        let is_unwrapped = within.is_some_and(|(around, _)| {
            matches!(&self.places[around].node.value, Value::Tuple { name: Some(_), items } if items.len() == 1)
        });
        self.places.push(Place { node, span: start..start, within, is_unwrapped });
        self.places.len() - 1
    }

    fn write_unwrapped(&mut self, node: &'a Node, within: (usize, Lead<'a>)) {
        let place = self.begin(node, Some(within));
        if let Some(group) = Group::of(node) {
            self.write_parts(&group.parts, place);
        }
        self.places[place].span.end = self.text.len();
    }

    fn write_parts(&mut self, parts: &[(Lead<'a>, &'a Node)], place: usize) {
        for (index, (lead, value)) in parts.iter().enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            match lead {
                Lead::Item(_) => {}
                Lead::Field(name) => push_name(name, false, &mut self.text),
                Lead::Key(key) => self.write(key, Some((place, *lead))),
            }
            if !matches!(lead, Lead::Item(_)) {
                self.text.push_str(": ");
            }
            self.write(value, Some((place, *lead)));
        }
    }

    /// The innermost place that contains the byte at `at`.
    pub(super) fn at(&self, at: usize) -> &Place<'a> {
        self.last(|span| span.contains(&at))
    }

    /// What ron has just read: the innermost place that ends at `at`, or else contains it.
    pub(super) fn before(&self, at: usize) -> &Place<'a> {
        match self.places.iter().rposition(|place| place.span.end == at && !place.span.is_empty()) {
            Some(index) => &self.places[index],
            None => self.last(|span| span.start < at && at < span.end),
        }
    }

    fn last(&self, is: impl Fn(&Span) -> bool) -> &Place<'a> {
        // The whole, if there is no other.
        &self.places[self.places.iter().rposition(|place| is(&place.span)).unwrap_or(0)]
    }

    pub(super) fn around(&self, place: &Place<'a>) -> Option<&Place<'a>> {
        place.within.map(|(around, _)| &self.places[around])
    }

    /// The fields and `[index]`es that lead to a place, innermost first. The only content of a name has no
    /// step of its own.
    pub(super) fn steps<'p>(&'p self, mut place: &'p Place<'a>) -> Vec<String> {
        let mut steps = Vec::new();
        while let Some((around, lead)) = place.within {
            let is_unwrapped = place.is_unwrapped;
            place = &self.places[around];
            match lead {
                Lead::Item(_) if is_unwrapped => {}
                Lead::Item(index) => steps.push(format!("[{index}]")),
                Lead::Field(name) => steps.push(name.to_owned()),
                Lead::Key(key) => match &key.value {
                    Value::Str(key) | Value::Ident(key) => steps.push(key.clone()),
                    Value::Int(key) => steps.push(format!("[{key}]")),
                    _ => {}
                },
            }
        }
        steps
    }
}

/// Whether a variant's content has brackets that ron can do without.
fn is_unwrapped(node: &Node) -> bool {
    matches!(node.value, Value::Unit | Value::Tuple { name: None, .. } | Value::Struct { name: None, .. })
}
