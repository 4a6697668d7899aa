use std::path::{Path, PathBuf};

use image::RgbImage;
use nextscale_config::{Field, Node, Value};
use nextscale_core::Grid;
use nextscale_files::centre_cropped;
use nextscale_tokenizers::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::reconstruct::reconstruct;
use crate::registry::{placed, plain};
use crate::{Error, Result, images};
use nextscale_generate::edit::{Edit, Keep, Region, mask_of};

const KINDS: [&str; 2] = ["Keep", "Paint"];
/// A box, for messages.
const BOX: &str = "rows: (0.0, 0.5), columns: (0.0, 1.0)";

/// The `edit` of a config: `Keep(..)` keeps boxes of given images and generates the rest, `Paint(..)` the
/// reverse; each has `image` or `images`, and `rows` and `columns` in fractions or several `boxes` of them.
#[derive(Debug, Clone, PartialEq)]
pub struct EditSpec {
    /// The given images, of the model's size; image i of a run edits given image i modulo their number.
    pub images: Vec<PathBuf>,
    /// The boxes.
    pub regions: Vec<Region>,
    /// Which part of them is kept.
    pub keep: Keep,
    /// Which tokens the kept part gets.
    pub tokens: KeptTokens,
    /// Whether the given pixels are pasted over the kept part of a finished image.
    pub paste: bool,
    /// Whether given images of another size are resized until they cover the model's, and the middle kept.
    pub resize: bool,
}

/// Which tokens the kept part of an edit gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KeptTokens {
    /// Those of the given image, as in VAR's notebook. They are residuals of the given image's own coarser
    /// scales: if those were drawn differently, the kept part drifts from the given image.
    #[default]
    Encoded,
    /// At every scale, those nearest to what the given image still lacks on the canvas so far.
    Requantised,
}

/// An edit ready to be drawn, with what its results are compared to.
#[derive(Debug, Clone)]
pub struct Given {
    /// The loop's edit.
    pub edit: Edit,
    pictures: Vec<RgbImage>,
    /// Which pixels are kept, row-major.
    kept: Vec<bool>,
    /// Whether [`paste`](Self::paste) changes an image.
    pub paste: bool,
    /// The mean absolute difference of bytes between the kept pixels and their reconstruction by the
    /// tokenizer.
    pub reconstruction: f64,
}

impl Given {
    /// The mean absolute difference of bytes, over the kept pixels, between image number `image` of a run and
    /// its given image; 0 if nothing is kept.
    pub fn error(&self, image: u64, made: &RgbImage) -> f64 {
        let given = &self.pictures[(image % self.pictures.len() as u64) as usize];
        difference(made, given, &self.kept)
    }

    /// Pastes the given pixels over the kept part, if the config asks for it.
    pub fn paste(&self, image: u64, made: &mut RgbImage) {
        if !self.paste {
            return;
        }
        let given = &self.pictures[(image % self.pictures.len() as u64) as usize];
        for ((made, given), _) in
            made.pixels_mut().zip(given.pixels()).zip(&self.kept).filter(|(_, kept)| **kept)
        {
            *made = *given;
        }
    }
}

/// The mean absolute difference of the bytes of kept pixels.
fn difference(a: &RgbImage, b: &RgbImage, kept: &[bool]) -> f64 {
    let (mut sum, mut count) = (0, 0_u64);
    for ((a, b), _) in a.pixels().zip(b.pixels()).zip(kept).filter(|(_, kept)| **kept) {
        sum += a.0.iter().zip(b.0).map(|(a, b)| u64::from(a.abs_diff(b))).sum::<u64>();
        count += 3;
    }
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

/// A box in the notation of `boxes`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Boxed {
    rows: (f64, f64),
    columns: (f64, f64),
}

impl EditSpec {
    /// Refuses images that are not there; they are read later, with the weights.
    pub(super) fn check_files(&self) -> Result<()> {
        self.images.iter().try_for_each(|path| match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(nextscale_core::Error::setting(
                "edit.image",
                format!("{} is a folder; name an image file", path.display()),
            )
            .into()),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::io("read", path)(error)),
        })
    }

    pub(super) fn read(node: &Node, folder: &Path) -> Result<Self> {
        let variant = node.variant()?;
        let keep = match variant.name() {
            "Keep" => Keep::Inside,
            "Paint" => Keep::Outside,
            _ => return Err(variant.unknown("edit", KINDS).into()),
        };
        let mut fields = variant.fields()?;
        let one: Option<String> = fields.take_option("image")?;
        let several: Option<Vec<String>> = fields.take_option("images")?;
        let rows: Option<(f64, f64)> = fields.take_option("rows")?;
        let columns: Option<(f64, f64)> = fields.take_option("columns")?;
        let boxes = fields.take_option("boxes");
        let boxes: Option<Vec<Boxed>> =
            boxes.map_err(|error| error.with_help(format!("a box is written ({BOX})")))?;
        let tokens = fields.take_or("tokens", KeptTokens::default())?;
        let paste = fields.take_or("paste", false)?;
        let resize = fields.take_or("resize", false)?;
        // A misspelt field is named before a missing one.
        fields.finish()?;
        let missing = |what: &str, help: &str| {
            let name = variant.name();
            Err(Error::from(node.error(format!("{what} of `{name}` is missing")).with_help(help)))
        };
        let given = match (one, several) {
            (Some(one), None) => vec![one],
            (None, Some(several)) => several,
            (Some(_), Some(_)) => {
                return Err(node.error("`image` and `images` cannot be combined; give one of them").into());
            }
            (None, None) => return missing("the given image", "add `image: \"a.png\"` here"),
        };
        let boxes = match (rows, columns, boxes) {
            (Some(rows), Some(columns), None) => vec![Boxed { rows, columns }],
            (None, None, Some(boxes)) => boxes,
            (_, _, Some(_)) => {
                let error =
                    node.error("`boxes` cannot be combined with `rows` and `columns`; give one of them");
                return Err(error.into());
            }
            (_, _, None) => {
                return missing(
                    "the box",
                    &format!("give both sides in fractions of the image, as in {BOX}"),
                );
            }
        };
        if given.is_empty() || boxes.is_empty() {
            return Err(node.error("no image or no box; give at least one of each").into());
        }
        if given.iter().any(|image| image.trim().is_empty()) {
            return Err(node.error("`image` is empty; name an image file, as in `image: \"a.png\"`").into());
        }
        let region = |Boxed { rows, columns }| Region { rows, columns };
        let regions: Vec<Region> = boxes.into_iter().map(region).collect();
        for region in &regions {
            region.check().map_err(|error| placed(error.into(), node))?;
        }
        let images = given.iter().map(|image| folder.join(image)).collect();
        Ok(Self { images, regions, keep, tokens, paste, resize })
    }

    pub(super) fn resolved(&self) -> Result<Node> {
        let absolute = |path: &PathBuf| std::path::absolute(path).map_err(Error::io("find", path));
        let paths = self.images.iter().map(absolute).collect::<Result<Vec<_>>>()?;
        let mut fields = Vec::new();
        let mut add = |name: &str, node: Node| fields.push(Field { name: name.into(), span: 0..0, node });
        match paths.as_slice() {
            [one] => add("image", Node::from_serialize(one)?),
            several => add("images", Node::from_serialize(several)?),
        }
        match self.regions.as_slice() {
            [Region { rows, columns }] => {
                add("rows", Node::from_serialize(rows)?);
                add("columns", Node::from_serialize(columns)?);
            }
            several => {
                let boxed = |region: &Region| Boxed { rows: region.rows, columns: region.columns };
                add("boxes", Node::from_serialize(&several.iter().map(boxed).collect::<Vec<_>>())?);
            }
        }
        // Settings at their default are left out, so that the hashes of earlier runs stay valid.
        if self.tokens != KeptTokens::default() {
            add("tokens", Node::from_serialize(&self.tokens)?);
        }
        if self.paste {
            add("paste", Node::from_serialize(&self.paste)?);
        }
        if self.resize {
            add("resize", Node::from_serialize(&self.resize)?);
        }
        let name = match self.keep {
            Keep::Inside => "Keep",
            Keep::Outside => "Paint",
        };
        Ok(plain(Value::Struct { name: Some(name.into()), fields })?)
    }

    /// Reads and encodes the images.
    ///
    /// # Errors
    /// If one cannot be read or does not have the model's size, or the tokenizer cannot requantise.
    pub fn load(&self, tokenizer: &dyn Tokenizer) -> Result<Given> {
        let (height, width) = tokenizer.image_size();
        let mut pictures = Vec::new();
        for path in &self.images {
            let mut picture = images::read(path)?;
            if self.resize {
                picture = centre_cropped(&picture, (width as u32, height as u32));
            }
            if picture.dimensions() != (width as u32, height as u32) {
                let (w, h) = picture.dimensions();
                return Err(Error::Image {
                    action: "use",
                    path: path.clone(),
                    message: format!(
                        "it is {w} × {h} pixels, and the model's images are {width} × {height}; resize it, or add `resize: true` \
                         to the edit"
                    ),
                });
            }
            pictures.push(picture);
        }
        let tensor = images::to_tensor(&pictures, &tokenizer.device());
        let mut edit = Edit::of_images(tokenizer, tensor.clone(), &self.regions, self.keep)?;
        if self.tokens == KeptTokens::Requantised {
            edit = edit.requantising(tokenizer.features(tensor.clone())?);
        }
        let kept = mask_of(Grid::new(height, width), &self.regions, self.keep);
        let rebuilt = images::to_pictures(reconstruct(tokenizer, tensor)?)?;
        let errors = rebuilt.iter().zip(&pictures).map(|(rebuilt, given)| difference(rebuilt, given, &kept));
        let reconstruction = errors.sum::<f64>() / pictures.len() as f64;
        Ok(Given { edit, pictures, kept, paste: self.paste, reconstruction })
    }
}
