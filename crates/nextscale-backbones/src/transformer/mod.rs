//! The building blocks of all families' transformers: linear layers, attention, adaptive norms and heads, and
//! how they are built and listed under upstream's key names.

pub(crate) mod adaln;
pub(crate) mod alike;
pub(crate) mod attention;
pub(crate) mod conditioning;
pub(crate) mod feed_forward;
pub(crate) mod fresh;
pub(crate) mod head;
pub(crate) mod keys;
pub(crate) mod laid_out;
pub(crate) mod linear;
pub(crate) mod mask;
pub(crate) mod ops;
pub(crate) mod rows;
pub(crate) mod seeing;
pub(crate) mod sequence;
pub(crate) mod session;
pub(crate) mod stack;
pub(crate) mod stored;
pub(crate) mod streams;
pub(crate) mod to_train;

pub use adaln::{AdaLn, Modulator};
pub use attention::{Attention, AttentionKind};
pub use feed_forward::FeedForward;
pub use fresh::Initialisation;
pub use head::Head;
pub use keys::Named;
pub use linear::{Linear, Panels, Rounded, Weight};
