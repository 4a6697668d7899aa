//! Serde values to trees, through the text that `ron` writes, which includes the names of enum variants.

use std::sync::Arc;

use ron::{Options, extensions::Extensions};
use serde::Serialize;

use crate::{ConfigError, Document, Node, Result, Source, Value};

impl Node {
    /// The tree of a serde value. It has no text, so errors that point at it show none; parse
    /// [`Node::to_ron_string`] if they should.
    ///
    /// # Errors
    /// An integer beyond `i128`, or whatever the type's own `Serialize` refuses.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Node> {
        // Depth is bounded when the text is parsed. A newtype becomes its content.
        let options =
            Options::default().without_recursion_limit().with_default_extension(Extensions::UNWRAP_NEWTYPES);
        let text = options.to_string(value).map_err(|error| ConfigError::new(error.to_string()))?;
        let mut node = Document::parse("a value", &text)?;
        let nowhere = Arc::new(Source { name: "a value".into(), text: String::new() });
        node.settle(&nowhere)?;
        Ok(node)
    }

    /// Detaches a tree from its text, and turns `Name((a: 1))`, a variant that holds a struct, into `Name(a:
    /// 1)`.
    fn settle(&mut self, nowhere: &Arc<Source>) -> Result<()> {
        let text = self.source.text.get(self.span.clone()).unwrap_or("");
        if matches!(self.value, Value::Float(_)) && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ConfigError::new(format!("{text} is too large for a config")));
        }
        (self.source, self.span) = (Arc::clone(nowhere), 0..0);
        match &mut self.value {
            Value::List(items) | Value::Tuple { items, .. } => {
                items.iter_mut().try_for_each(|item| item.settle(nowhere))?;
            }
            Value::Struct { fields, .. } => {
                for field in fields {
                    field.span = 0..0;
                    field.node.settle(nowhere)?;
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    key.settle(nowhere)?;
                    value.settle(nowhere)?;
                }
            }
            _ => {}
        }
        if let Value::Tuple { name, items } = &mut self.value
            && name.as_deref().is_some_and(|name| name != "Some")
            && let [Node { value: value @ (Value::Struct { name: None, .. } | Value::Unit), .. }] =
                items.as_mut_slice()
        {
            self.value = match std::mem::replace(value, Value::Unit) {
                Value::Struct { fields, .. } => Value::Struct { name: name.take(), fields },
                _ => Value::Tuple { name: name.take(), items: Vec::new() },
            };
        }
        Ok(())
    }
}
