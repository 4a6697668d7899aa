//! The trainings of VAR: its tokenizer, and its transformer on the tokens of a frozen one.

mod backbone;
mod tokenizer;

pub use backbone::{BackboneModel, TrainBackbone, train_backbone};
pub use tokenizer::{TrainTokenizer, open_tokenizer, train_tokenizer};

use nextscale_train::{Options, Outcome};

use crate::training::{Architecture, ModelPart};

/// What VAR can train, by its names in training configs.
pub(super) fn architectures() -> Vec<Architecture> {
    vec![
        Architecture::new(ModelPart::Tokenizer, "Var", |config: TrainTokenizer, folder, options, device| {
            train_tokenizer(&config.relative_to(folder), options, device)
        }),
        Architecture::new(ModelPart::Backbone, "Var", |config: TrainBackbone, folder, options, device| {
            train_backbone(&config.relative_to(folder), options, device)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::module::ParamId;
    use burn::tensor::Device;
    use nextscale_backbones::var::{AdaLn, Initialisation, VarConfig};
    use nextscale_core::ScaleSchedule;
    use nextscale_train::config::{BackboneSettings, Learn};
    use nextscale_train::data::Source;
    use nextscale_train::params::{parameters, replace, without_variants};

    use super::*;

    fn read(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/train");
        std::fs::read_to_string(Path::new(folder).join(name)).unwrap()
    }

    fn check(config: &TrainBackbone) {
        let settings: BackboneSettings = config.settings();
        settings.check().unwrap();
    }

    #[test]
    fn the_configs_that_come_with_the_program_make_models() {
        let whole: TrainTokenizer = ron::from_str(&read("cifar10-tokenizer.ron")).unwrap();
        let decoder: TrainTokenizer = ron::from_str(&read("cifar10-decoder.ron")).unwrap();
        assert_eq!((decoder.settings().check().is_ok(), decoder.learn), (true, Learn::Decoder));
        assert_eq!((&decoder.model, &decoder.scales), (&whole.model, &whole.scales));
        for data in ["cifar10", "fashion-mnist"] {
            let tokenizer: TrainTokenizer = ron::from_str(&read(&format!("{data}-tokenizer.ron"))).unwrap();
            tokenizer.settings().check().unwrap();
            tokenizer.model.check(&tokenizer.scales).unwrap();
            assert_eq!(tokenizer.model.image_size(tokenizer.scales.last()), (32, 32));
            let backbone: TrainBackbone = ron::from_str(&read(&format!("{data}-backbone.ron"))).unwrap();
            check(&backbone);
            assert!(backbone.model.width.is_multiple_of(backbone.model.heads));
        }
        let first: TrainBackbone = ron::from_str(&read("cifar10-backbone.ron")).unwrap();
        let grown: TrainBackbone = ron::from_str(&read("cifar10-backbone-grown.ron")).unwrap();
        check(&grown);
        assert!(grown.start.is_some() && grown.model.depth > first.model.depth);
        let shifted: TrainBackbone = ron::from_str(&read("cifar10-backbone-shifted.ron")).unwrap();
        check(&shifted);
        assert!(shifted.start.is_some() && shifted.shift > 0);
        assert_eq!(shifted.model, grown.model);
        assert_eq!(BackboneModel { depth: first.model.depth, ..grown.model }, first.model);
        for later in [grown, shifted] {
            assert_eq!((&later.tokenizer, &later.data), (&first.tokenizer, &first.data));
        }
    }

    #[test]
    fn paths_are_taken_from_the_folder_of_the_config() {
        let config: TrainBackbone = ron::from_str(&read("cifar10-backbone.ron")).unwrap();
        let config =
            TrainBackbone { data: Source::Cifar10("x".into()), ..config }.relative_to(Path::new("/a"));
        assert_eq!(config.data, Source::Cifar10("/a/x".into()));
        assert!(config.tokenizer.starts_with("/a"));
        let config: TrainTokenizer = ron::from_str(&read("cifar10-decoder.ron")).unwrap();
        let config = config.relative_to(Path::new("/a"));
        assert!(config.start.unwrap().starts_with("/a"));
        assert!(config.perceptual.unwrap().classifier.starts_with("/a"));
    }

    #[test]
    fn the_names_of_parameters_in_checkpoints_have_no_variants_in_them() {
        for (ada_ln, modulator) in [
            (AdaLn::Shared, vec!["blocks.0.modulator"]),
            (AdaLn::PerBlock, vec!["blocks.0.modulator.weight", "blocks.0.modulator.bias"]),
        ] {
            let config = VarConfig {
                width: 8,
                heads: 2,
                ada_ln,
                ..VarConfig::new(1, ScaleSchedule::square(&[1, 2]).unwrap())
            };
            let model = config.init(&Initialisation::default(), &Device::flex()).unwrap();
            let all = parameters(&model);
            let names: Vec<&str> = all.iter().map(|p| &*p.name).collect();
            assert!(names.contains(&"embedding.word_embed.weight"), "{names:?}");
            assert!(modulator.iter().all(|name| names.contains(name)), "{names:?}");
            assert!(names.iter().all(|name| *name == without_variants(name)), "{names:?}");
            // These are the model's own keys, which also determine weight decay.
            let ids: Vec<ParamId> = all.iter().map(|p| p.id).collect();
            assert_eq!(ids.len(), model.parameters().len());
            assert!(model.parameters().iter().all(|named| ids.contains(&named.id())));
            let mut mapped = Vec::new();
            replace(model.clone(), |p| {
                mapped.push(p.name);
                None
            });
            assert_eq!(mapped, names);
        }
    }
}
