//! A [`Node`] as a field of a serde struct: it passes through decoding and building whole, with names and spans.
//!
//! Serde's data model has no room for a node, so it is handed over beside it: the reader or builder of this crate sees
//! the private name below and finds the node in a thread-local slot.

use std::cell::RefCell;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Node;

/// The newtype name by which the two sides recognise each other.
pub(crate) const RAW: &str = "NextscaleConfigNode";

thread_local! {
    static SLOT: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Leaves a node for the other side.
pub(crate) fn hand_over(node: Node) {
    SLOT.set(Some(node));
}

/// Takes the node that the other side left.
pub(crate) fn receive() -> Option<Node> {
    SLOT.take()
}

impl<'de> Deserialize<'de> for Node {
    /// Keeps the value as it stands. Only [`Node::decode`] can give one: not other formats, and not serde's `untagged` or
    /// `flatten`, which copy what they read first.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl de::Visitor<'_> for Whole {
            type Value = Node;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value of a config")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                receive().ok_or_else(|| E::custom("a config node can be read only from a config"))
            }
        }
        deserializer.deserialize_newtype_struct(RAW, Whole)
    }
}

impl Serialize for Node {
    /// [`Node::from_serialize`] keeps the node as it is; every other format gets its RON text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hand_over(self.clone());
        let result = serializer.serialize_newtype_struct(RAW, &self.to_string());
        receive();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    #[derive(Deserialize, Serialize)]
    struct Holder {
        seed: u8,
        rule: Node,
        more: Vec<(String, Node)>,
    }

    #[test]
    fn nodes_pass_through_structs_with_names_and_spans() {
        let text = "(seed: 1, rule: Cfg(scale: 2), more: [(\"a\", Null)])";
        let tree = Document::parse("a.ron", text).unwrap();
        let holder: Holder = tree.decode().unwrap();
        assert_eq!((holder.seed, &text[holder.rule.span.clone()]), (1, "Cfg(scale: 2)"));
        assert_eq!(holder.more[0].1.name(), Some("Null"));
        assert_eq!(Node::from_serialize(&holder).unwrap(), tree);
    }

    #[test]
    fn other_formats_get_text_and_give_none() {
        let node = Document::parse("a.ron", "Null").unwrap();
        assert_eq!(ron::to_string(&node).unwrap(), "(\"Null\")");
        assert!(ron::from_str::<Node>("Null").is_err());
    }
}
