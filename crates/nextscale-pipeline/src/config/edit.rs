use std::path::{Path, PathBuf};

use nextscale_config::Node;
use nextscale_tokenizers::Tokenizer;
use serde::Serialize;

use crate::registry::placed;
use crate::{Error, Result, images};
use nextscale_generate::edit::{Edit, Keep, Region};

const KINDS: [&str; 2] = ["Keep", "Paint"];

/// The `edit` of a config: `Keep(..)` keeps a box of a given image and generates the rest, `Paint(..)` the other way
/// round; each with `image`, and `rows` and `columns` in fractions.
#[derive(Debug, Clone, PartialEq)]
pub struct EditSpec {
    /// The given image, of the model's size.
    pub image: PathBuf,
    /// The box.
    pub region: Region,
    /// What of it is kept.
    pub keep: Keep,
}

impl EditSpec {
    pub(super) fn read(node: &Node, folder: &Path) -> Result<Self> {
        let variant = node.variant()?;
        let keep = match variant.name() {
            "Keep" => Keep::Inside,
            "Paint" => Keep::Outside,
            _ => return Err(variant.unknown("edit", KINDS).into()),
        };
        let mut fields = variant.fields()?;
        let image: String = fields.take("image")?;
        let region = Region { rows: fields.take("rows")?, columns: fields.take("columns")? };
        fields.finish()?;
        region.check().map_err(|error| placed(error.into(), node))?;
        Ok(Self { image: folder.join(image), region, keep })
    }

    pub(super) fn resolved(&self) -> Result<Node> {
        #[derive(Serialize)]
        #[serde(rename = "Edit")]
        enum Written<'a> {
            Keep { image: &'a Path, rows: (f64, f64), columns: (f64, f64) },
            Paint { image: &'a Path, rows: (f64, f64), columns: (f64, f64) },
        }
        let image = &std::path::absolute(&self.image).map_err(Error::io("find", &self.image))?;
        let Region { rows, columns } = self.region;
        Ok(Node::from_serialize(&match self.keep {
            Keep::Inside => Written::Keep { image, rows, columns },
            Keep::Outside => Written::Paint { image, rows, columns },
        })?)
    }

    /// Reads and encodes the image.
    ///
    /// # Errors
    /// If it cannot be read, or does not have the model's size.
    pub fn load(&self, tokenizer: &dyn Tokenizer) -> Result<Edit> {
        let picture = images::read(&self.image)?;
        let (height, width) = tokenizer.image_size();
        if picture.dimensions() != (width as u32, height as u32) {
            let (w, h) = picture.dimensions();
            return Err(Error::Image {
                action: "use",
                path: self.image.clone(),
                message: format!(
                    "it is {w} × {h} pixels, and the model's images are {width} × {height}; resize it"
                ),
            });
        }
        let tensor = images::to_tensor(&[picture], &tokenizer.device());
        Ok(Edit::of_images(tokenizer, tensor, &self.region, self.keep)?)
    }
}
