use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_config::Node;
use nextscale_config::settings::{Entry, Kind};
use nextscale_tokenizers::Tokenizer;
use nextscale_weights::WeightFile;

use crate::{Architecture, EmbeddedFile, Error, OpenModel, Result};

/// A family of models: one tokenizer and one backbone with all their sizes.
pub trait ModelFamily: Send + Sync {
    /// Its name and settings as configs write them, and what people are told of it: `Entry::of(|files: MyFiles|
    /// Arc::new(files) as Arc<dyn ModelSource>)`.
    fn entry(&self) -> Entry<dyn ModelSource>;

    /// What a file is in words, if it is of this family: every tensor's name and shape has been checked then. `None` if it
    /// is not.
    ///
    /// # Errors
    /// What is wrong with a file that is of this family and cannot be used.
    fn recognise(&self, file: &WeightFile) -> Option<Result<String, String>>;

    /// How its files are recognised, each part in a phrase: ``its tokenizer (`quantize.embedding.weight`)``.
    fn marks(&self) -> Vec<String>;

    /// The tokenizer in a file, with its encoder, for images of `(rows, columns)` pixels; `None` if the file holds none of this
    /// family's. By default it holds none.
    ///
    /// # Errors
    /// If it cannot be read, or nothing tells its scales.
    fn tokenizer(
        &self,
        file: &WeightFile,
        image: (usize, usize),
        device: &Device,
    ) -> Option<Result<Arc<dyn Tokenizer>>> {
        let _ = (file, image, device);
        None
    }

    /// A model of these sizes with random weights, for measurements and tests; `None` if the sizes are not written as this
    /// family's are. By default none are.
    ///
    /// # Errors
    /// If they make no model.
    fn random(&self, sizes: &str) -> Option<Result<Arc<dyn OpenModel>>> {
        let _ = sizes;
        None
    }

    /// What of its models is trained by a config's `model`. By default nothing.
    fn architectures(&self) -> Vec<Architecture> {
        Vec::new()
    }

    /// A model whose files are compiled into the program, by the names that this family gives its files; errors point at `node`.
    ///
    /// # Errors
    /// By default that no model of this family is shipped; else as [`ModelSource::open`].
    fn shipped(&self, files: &[EmbeddedFile], node: &Node) -> Result<Arc<dyn OpenModel>> {
        let _ = files;
        Err(Error::from(node.error("models of this family cannot be part of a program")))
    }
}

/// What a config says of a model: its family and where its weights are. No file has been looked at.
pub trait ModelSource: Any + Debug + Send + Sync {
    /// Reads the headers of its files, checks every tensor's name and shape, and reads nothing else. Errors about settings
    /// point at `node`, where the config says them.
    ///
    /// # Errors
    /// If a file is missing, corrupt or of another model, or the settings do not fit it.
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>>;
}

impl Kind for dyn ModelSource {
    const NAME: &'static str = "model";
    const SCHEMA: &'static str = "Model";
}
