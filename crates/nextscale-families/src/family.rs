use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_config::Node;
use nextscale_config::settings::{Entry, Kind};
use nextscale_core::Dtype;
use nextscale_tokenizers::Tokenizer;
use nextscale_weights::WeightFile;

use crate::{Architecture, EmbeddedFile, Error, OpenModel, Published, Result};

/// A family of models: one tokenizer and one backbone in all their sizes.
pub trait ModelFamily: Send + Sync {
    /// Its name, settings and descriptions in configs: `Entry::of(|files: MyFiles| Arc::new(files) as Arc<dyn
    /// ModelSource>)`.
    fn entry(&self) -> Entry<dyn ModelSource>;

    /// A description of a file of this family; every tensor's name and shape has then been checked. `None`
    /// for other files.
    ///
    /// # Errors
    /// What is wrong with a file of this family that cannot be used.
    fn recognise(&self, file: &WeightFile) -> Option<Result<String, String>>;

    /// The memory that a batch of the model in a file takes of a GPU, computed, in a sentence; `None` for other files. By
    /// default it is unknown.
    fn memory(&self, file: &WeightFile, batch: usize, dtype: Dtype) -> Option<String> {
        let _ = (file, batch, dtype);
        None
    }

    /// Whether a file holds a backbone of this family, by its header where that tells.
    fn has_backbone(&self, file: &WeightFile) -> bool {
        self.recognise(file).is_some()
    }

    /// The models that were published by name. By default none.
    fn published(&self) -> &'static [Published] {
        &[]
    }

    /// How its files are recognised, one phrase per part: ``its tokenizer (`quantize.embedding.weight`)``.
    fn marks(&self) -> Vec<String>;

    /// The tokenizer in a file, with its encoder, for images of `(rows, columns)` pixels; `None` if the file
    /// has none of this family's. By default there is none.
    ///
    /// # Errors
    /// If it cannot be read, or its scales are unknown.
    fn tokenizer(
        &self,
        file: &WeightFile,
        image: (usize, usize),
        device: &Device,
    ) -> Option<Result<Arc<dyn Tokenizer>>> {
        let _ = (file, image, device);
        None
    }

    /// A model of these sizes with random weights, for measurements and tests; `None` if the sizes are not in
    /// this family's notation. By default there are none.
    ///
    /// # Errors
    /// If they are invalid.
    fn random(&self, sizes: &str) -> Option<Result<Arc<dyn OpenModel>>> {
        let _ = sizes;
        None
    }

    /// The parts of its models that can be trained, as named by a config's `model`. By default none.
    fn architectures(&self) -> Vec<Architecture> {
        Vec::new()
    }

    /// A model whose files are compiled into the program, by this family's names for its files; errors point
    /// at `node`.
    ///
    /// # Errors
    /// By default, that no model of this family is shipped; otherwise as [`ModelSource::open`].
    fn shipped(&self, files: &[EmbeddedFile], node: &Node) -> Result<Arc<dyn OpenModel>> {
        let _ = files;
        Err(Error::from(node.error("models of this family cannot be compiled into a program")))
    }
}

/// A model in a config: its family and where its weights are. No file has been opened.
pub trait ModelSource: Any + Debug + Send + Sync {
    /// Reads only the headers of its files and checks every tensor's name and shape. Errors about settings
    /// point at `node`, their place in the config.
    ///
    /// # Errors
    /// If a file is missing, corrupt or of another model, or the settings do not fit it.
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>>;
}

impl Kind for dyn ModelSource {
    const NAME: &'static str = "model";
    const SCHEMA: &'static str = "Model";
}
