//! What every crate needs from the file system: files that appear completely or not at all, locks between
//! processes, content hashes, image files, and the layout of run folders.
//!
//! Knows nothing of burn or models.

mod arithmetic;
mod atomic;
mod hash;
mod images;
mod kind;
mod lock;
pub mod run;
mod whole;
mod words;

pub use arithmetic::{other_arithmetic, other_device};
pub use atomic::{Partial, partial_path, remove_with_partial, unfinished_path, write_atomically};
pub use hash::{Hash, sha256, sha256_of_file};
pub use images::{
    DECODES_AS_LIBJPEG, IMAGE_EXTENSIONS, ImageFileError, ImageHeader, LeftOut, centre_cropped,
    centre_square, has_image_name, image_files, image_header, is_hidden, kind_of_other, read_image,
    visible_children, words_of_left_out,
};
pub use kind::FileKind;
pub use lock::{Lock, LockError, remove_temporary_locks};
pub use whole::WholeFolder;
pub use words::{missing, sentence, words_of_missing};
