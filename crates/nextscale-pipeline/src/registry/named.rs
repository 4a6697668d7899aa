//! Models by name: short names of published models, addresses in place of files, and `Hub(..)`.
//!
//! A family sees none of this. Its settings are read with the addresses in them, and the model is opened with
//! the paths of the files that they led to; in the resolved config the addresses return, at their commits.

use std::any::Any;
use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use nextscale_config::settings::{Description, Fallback, Reader, Setting, Settings, plain, schema::leaf};
use nextscale_config::{Field, Node, Value};
use nextscale_families::{ModelSource, OpenModel, Published, Retold};
use nextscale_weights::WeightFile;
use serde::{Deserialize, Serialize};

use super::Registry;
use super::addresses::{Address, fetch};
use crate::{Error, Result};

/// A model of a config, which may be by name.
pub(super) fn model(registry: &Registry, node: &Node) -> Result<Arc<dyn ModelSource>> {
    let (node, source) = read(registry, node)?;
    let hub = as_hub(&source);
    if hub.is_none() && in_strings(&node)?.is_empty() {
        return Ok(source);
    }
    Ok(Arc::new(ByAddress { registry: registry.clone(), node, hub }))
}

/// The addresses of a model's files.
pub(super) fn addresses(registry: &Registry, node: &Node) -> Result<Vec<String>> {
    let (node, source) = read(registry, node)?;
    match as_hub(&source) {
        Some(hub) => {
            hub.files().map(|file| hub.address(file).map_err(|problem| node.error(problem).into())).collect()
        }
        None => in_strings(&node),
    }
}

/// A model with short names written out, and its settings.
fn read(registry: &Registry, node: &Node) -> Result<(Node, Arc<dyn ModelSource>)> {
    let node = short_name(registry, node)?.unwrap_or_else(|| node.clone());
    let source = registry.names().build::<dyn ModelSource>(&node)?.value;
    Ok((node, source))
}

fn as_hub(source: &Arc<dyn ModelSource>) -> Option<Hub> {
    (&**source as &dyn Any).downcast_ref::<Hub>().cloned()
}

/// The addresses that stand in a tree.
fn in_strings(node: &Node) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for_each_string(&mut node.clone(), &mut |place| {
        found.extend(Address::is_in(place)?);
        Ok(())
    })?;
    Ok(found)
}

/// What `Name("short")` stands for, if that is what the node is.
fn short_name(registry: &Registry, node: &Node) -> Result<Option<Node>> {
    let Value::Tuple { name: Some(family), items } = &node.value else { return Ok(None) };
    let [Node { value: Value::Str(name), .. }] = items.as_slice() else { return Ok(None) };
    let Some((_, known)) = registry.families.iter().find(|(known, _)| known == family) else {
        return Ok(None);
    };
    let all = known.published();
    match all.iter().find(|model| model.name == *name) {
        Some(model) => Ok(Some(model.node()?)),
        None if all.is_empty() => Ok(None),
        None => {
            let help = format!(
                "available: {}; or give a model's files: {}",
                Published::names(all),
                known.entry().description.example
            );
            let error = node.error(format!("`{family}` has no published model `{name}`"));
            Err(error.with_help(help).into())
        }
    }
}

/// Files in a repository, of whichever family: `Hub(repo: "FoundationVision/var", ..)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hub {
    repo: String,
    revision: Option<String>,
    tokenizer: String,
    backbone: String,
    text: Option<Text>,
}

/// A text encoder in a repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    encoder: String,
    tokenizer: String,
}

impl Settings for Hub {
    fn description() -> Description {
        let setting = |name, about, fallback, schema| Setting { name, about, fallback, schema };
        Description {
            name: "Hub",
            about: "A model of any family in a repository on Hugging Face; its files are downloaded once.",
            example: "Hub(repo: \"owner/name\", tokenizer: \"a.pth\", backbone: \"b.pth\")",
            settings: vec![
                setting("repo", "The repository, `owner/name`.", Fallback::MustBeGiven, leaf::<String>),
                setting(
                    "revision",
                    "A branch, tag or commit; by default `main`, whose commit is put into the resolved config.",
                    Fallback::Nothing,
                    leaf::<String>,
                ),
                setting(
                    "tokenizer",
                    "The tokenizer's file in it, or an `hf://` address elsewhere.",
                    Fallback::MustBeGiven,
                    leaf::<String>,
                ),
                setting(
                    "backbone",
                    "The transformer's file in it, or a folder with a slash at its end.",
                    Fallback::MustBeGiven,
                    leaf::<String>,
                ),
                setting(
                    "text",
                    "For models of prompts, the text encoder and its vocabulary, `(encoder: \"..\", tokenizer: \"..\")`.",
                    Fallback::Nothing,
                    leaf::<serde_json::Map<String, serde_json::Value>>,
                ),
            ],
            also: Vec::new(),
        }
    }

    fn read(reader: &mut Reader<'_>) -> nextscale_config::Result<Self> {
        let hub = Self {
            repo: reader.take("repo")?,
            revision: reader.take_option("revision")?,
            tokenizer: reader.take("tokenizer")?,
            backbone: reader.take("backbone")?,
            text: reader.take_option("text")?,
        };
        let checked = |file: &str| hub.address(file).and_then(|address| Address::check(&address));
        let repo = Address::written(&hub.repo, hub.revision.as_deref(), "").map(drop);
        reader.check("repo", repo)?;
        reader.check("tokenizer", checked(&hub.tokenizer))?;
        reader.check("backbone", checked(&hub.backbone))?;
        if let Some(text) = &hub.text {
            reader.check("text", checked(&text.encoder).and_then(|()| checked(&text.tokenizer)))?;
        }
        Ok(hub)
    }
}

impl Hub {
    fn files(&self) -> impl Iterator<Item = &str> {
        let text = self.text.iter().flat_map(|text| [&*text.encoder, &*text.tokenizer]);
        [&*self.tokenizer, &*self.backbone].into_iter().chain(text)
    }

    /// The address of one of the files.
    fn address(&self, file: &str) -> std::result::Result<String, String> {
        if file.starts_with(Address::SCHEME) {
            return Ok(file.into());
        }
        Address::written(&self.repo, self.revision.as_deref(), file)
    }

    /// The settings of the family that the backbone is of.
    fn settings(&self, registry: &Registry, node: &Node) -> Result<Node> {
        let address = |file: &str| self.address(file).map_err(|problem| Error::from(node.error(problem)));
        let (path, _) = fetch(&address(&self.backbone)?, node)?;
        let file = WeightFile::open(&path)?;
        let family = registry.families.iter().find(|(_, family)| family.has_backbone(&file));
        let Some((family, _)) = family else {
            let message = match registry.recognise(&file) {
                Ok(words) => format!("{} is not a backbone: {words}", file.label()),
                Err(message) => message,
            };
            return Err(Error::Usage(message));
        };
        let field = |name: &str, value| -> Result<Field> {
            Ok(Field { name: name.into(), span: 0..0, node: plain(value)? })
        };
        let mut fields = vec![
            field("tokenizer", Value::Str(address(&self.tokenizer)?))?,
            field("backbone", Value::Str(address(&self.backbone)?))?,
        ];
        if let Some(text) = &self.text {
            let text = Text { encoder: address(&text.encoder)?, tokenizer: address(&text.tokenizer)? };
            fields.push(Field { name: "text".into(), span: 0..0, node: Node::from_serialize(&text)? });
        }
        let value = Value::Struct { name: Some((*family).into()), fields };
        // Errors about settings point at the config.
        Ok(Node { value, ..node.clone() })
    }
}

impl ModelSource for Hub {
    /// Only a registry knows the families that the files may be of.
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>> {
        Err(node.error("a model of a repository is opened by a registry: use Registry::model").into())
    }
}

/// A model whose files are named by addresses.
struct ByAddress {
    registry: Registry,
    /// As in the config, short names written out.
    node: Node,
    hub: Option<Hub>,
}

impl Debug for ByAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.node)
    }
}

impl ModelSource for ByAddress {
    fn open(&self, _: &Node) -> Result<Arc<dyn OpenModel>> {
        let mut local = match &self.hub {
            Some(hub) => hub.settings(&self.registry, &self.node)?,
            None => self.node.clone(),
        };
        let mut pins: Vec<(String, String)> = Vec::new();
        for_each_string(&mut local, &mut |place| {
            let Some(address) = Address::is_in(place)? else { return Ok(()) };
            let (path, pinned) = fetch(&address, place)?;
            let Some(path) = path.to_str() else {
                let message = format!("{}: the cache's path is not Unicode", path.display());
                return Err(Error::Usage(message));
            };
            pins.push((path.to_owned(), pinned));
            place.value = Value::Str(path.into());
            Ok(())
        })?;
        let source = self.registry.names().build::<dyn ModelSource>(&local)?.value;
        let open = source.open(&local)?;
        let mut facts = open.facts().clone();
        for_each_string(&mut facts.resolved, &mut |place| {
            if let Value::Str(text) = &mut place.value
                && let Some((_, pinned)) = pins.iter().find(|(path, _)| path == text)
            {
                text.clone_from(pinned);
            }
            Ok(())
        })?;
        Ok(Arc::new(Retold { open, facts }))
    }
}

/// Calls `change` for every string of a tree.
fn for_each_string(node: &mut Node, change: &mut dyn FnMut(&mut Node) -> Result<()>) -> Result<()> {
    match &mut node.value {
        Value::Str(_) => change(node),
        Value::List(items) | Value::Tuple { items, .. } => {
            items.iter_mut().try_for_each(|item| for_each_string(item, change))
        }
        Value::Struct { fields, .. } => {
            fields.iter_mut().try_for_each(|field| for_each_string(&mut field.node, change))
        }
        Value::Map(entries) => entries.iter_mut().try_for_each(|(_, value)| for_each_string(value, change)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn model(text: &str) -> Result<Arc<dyn ModelSource>> {
        Registry::standard().model(&Document::parse("run.ron", text)?)
    }

    #[test]
    fn short_names_are_written_out() {
        let registry = Registry::standard();
        let mut count = 0;
        for family in registry.families() {
            for published in family.published() {
                let text = format!("{}({:?})", family.entry().description.name, published.name);
                let written = format!("{:?}", model(&text).unwrap());
                assert_eq!(Document::parse("a", &written).unwrap(), published.node().unwrap(), "{text}");
                count += 1;
            }
        }
        assert!(count > 5);
    }

    #[test]
    fn mistakes_are_told_with_place_and_remedy() {
        let mistakes = [
            "Var(\"d17\")",
            "Var(tokenizer: \"hf://a/../b/c\", backbone: \"b.pth\")",
            "Var(tokenizer: \"hf://a/b/c\", backbone: \"b.pth\", norm_gruops: 3)",
            "Hub(repo: \"var\", tokenizer: \"a.pth\", backbone: \"b.pth\")",
            "Hub(repo: \"a/b\", tokenizer: \"a.pth\", backbone: \"../b.pth\")",
            "Hub(repo: \"a/b\", backbone: \"b.pth\")",
            "Hub(repo: \"a/b\", tokenizer: \"a.pth\", backbone: \"b.pth\", scales: [1])",
            "Hub(\"a/b\")",
        ];
        let told: Vec<String> = mistakes
            .iter()
            .map(|text| {
                let Error::Config(error) = model(text).unwrap_err() else { panic!("{text}: no place") };
                let place = error.location().map_or(0, |(_, _, column)| column);
                format!("{text}\n  column {place}: {error}\n  {}", error.help_text().unwrap_or("-"))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn addresses_are_those_of_the_files() {
        let addresses =
            |text: &str| Registry::standard().addresses(&Document::parse("run.ron", text).unwrap()).unwrap();
        let text = "Hub(repo: \"a/b\", revision: \"v1\", tokenizer: \"t.pth\", backbone: \"hf://c/d/e/\")";
        assert_eq!(addresses(text), ["hf://a/b@v1/t.pth", "hf://c/d/e/"]);
        assert_eq!(addresses("Var(\"d16\")").len(), 2);
        // The text encoder's stand deeper.
        assert_eq!(addresses("Infinity(\"125m\")").len(), 4);
        assert!(addresses("Shipped(\"cifar10\")").is_empty());
    }

    #[test]
    fn paths_are_left_alone() {
        assert!(
            !format!("{:?}", model("Var(tokenizer: \"a.pth\", backbone: \"b.pth\")").unwrap())
                .contains("Hub")
        );
        assert!(model("Var(tokenizer: \"a.pth\")").is_err());
    }
}
