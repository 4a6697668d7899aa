//! What `#[setting(..)]` says of a struct and of a field.

use syn::{Attribute, Expr, LitStr, Path, Result, Type};

/// Of the struct.
#[derive(Default)]
pub struct OfStruct {
    pub example: Option<LitStr>,
    pub check: Option<Path>,
    pub build: Option<Path>,
    pub builds: Option<Type>,
    pub sample: Option<Path>,
}

impl OfStruct {
    pub fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        for attribute in settings(attributes) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("example") {
                    found.example = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("check") {
                    found.check = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("build") {
                    found.build = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("builds") {
                    found.builds = Some(meta.value()?.parse()?);
                } else if meta.path.is_ident("sample") {
                    found.sample = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected example, check, build, builds or sample"));
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// Of a field.
#[derive(Default)]
pub struct OfField {
    pub default: Option<Given>,
    pub check: Option<Path>,
}

/// `default`, or `default = value`.
pub enum Given {
    OfType,
    Value(Box<Expr>),
}

impl OfField {
    pub fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut found = Self::default();
        for attribute in settings(attributes) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("default") {
                    found.default = Some(match meta.value() {
                        Ok(value) => Given::Value(Box::new(value.parse()?)),
                        Err(_) => Given::OfType,
                    });
                } else if meta.path.is_ident("check") {
                    found.check = Some(meta.value()?.parse()?);
                } else {
                    return Err(meta.error("expected default or check"));
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}

fn settings(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("setting"))
}
