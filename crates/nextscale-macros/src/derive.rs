//! The implementation of `Settings` that the derive writes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Result};

use crate::attributes::OfStruct;
use crate::docs::first_paragraph;
use crate::field::Setting;

/// `home` is the path of the module that has the trait.
pub fn settings(input: &DeriveInput, home: &TokenStream) -> Result<TokenStream> {
    let of = OfStruct::parse(&input.attrs)?;
    let refused = |message: &str| Err(Error::new(input.span(), message));
    if !input.generics.params.is_empty() {
        return refused("a type that configs name cannot have generic parameters");
    }
    if of.builds.is_some() && of.build.is_none() {
        return refused("`builds = Type` needs `build = path`, a function that makes it of the settings");
    }
    let settings = fields(input)?.into_iter().map(Setting::of).collect::<Result<Vec<_>>>()?;
    let ident = &input.ident;
    let thing = match &of.builds {
        Some(other) => quote!(#other),
        None => quote!(#ident),
    };
    let name = of.builds.as_ref().map_or_else(|| ident.to_string(), |other| quote!(#other).to_string());
    let about = first_paragraph(&input.attrs);
    if about.is_empty() {
        return refused("say what it is, in a doc comment: `nextscale list` shows its first paragraph");
    }
    let example = match &of.example {
        Some(text) => text.value(),
        None if settings.is_empty() => name.clone(),
        None if settings.iter().all(Setting::is_optional) => format!("{name}()"),
        None => {
            let missing = settings.iter().find(|setting| !setting.is_optional()).map_or("", Setting::name);
            return refused(&format!(
                "`{missing}` must be given: show how, with #[setting(example = \"{name}({missing}: ..)\")]"
            ));
        }
    };
    let reads = settings.iter().map(Setting::read);
    let described = settings.iter().map(|setting| setting.describe(home));
    let given = match &input.data {
        Data::Struct(data) if matches!(data.fields, Fields::Unit) => quote!(#ident),
        _ => quote!(#ident { #(#reads)* }),
    };
    let check = of.check.as_ref().map(|check| quote!(reader.accept(#check(&given))?;));
    let built = match &of.build {
        Some(build) => quote!(#build(given, reader)),
        None => quote!(::core::result::Result::Ok(given)),
    };
    let sample = of.sample.as_ref().map(|sample| {
        quote! {
            fn sample() -> ::core::option::Option<Self> {
                ::core::option::Option::Some(#sample())
            }
        }
    });
    Ok(quote! {
        impl #home::Settings for #thing {
            fn description() -> #home::Description {
                #home::Description {
                    name: #name,
                    about: #about,
                    example: #example,
                    settings: ::std::vec![#(#described),*],
                    also: ::std::vec::Vec::new(),
                }
            }

            fn read(reader: &mut #home::Reader<'_>) -> #home::Result<Self> {
                let given = #given;
                reader.nothing_left()?;
                #check
                #built
            }

            #sample
        }
    })
}

fn fields(input: &DeriveInput) -> Result<Vec<&syn::Field>> {
    match &input.data {
        Data::Struct(data) if !matches!(data.fields, Fields::Unnamed(_)) => Ok(data.fields.iter().collect()),
        _ => Err(Error::new(input.span(), "settings are the named fields of a struct")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(input: DeriveInput) -> String {
        settings(&input, &quote!(home)).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_a_thing_of_configs_is_told_with_the_remedy() {
        let told = [
            refused(syn::parse_quote!(
                struct Undocumented;
            )),
            refused(syn::parse_quote! {
                /// Help.
                struct Thing {
                    undocumented: f64,
                }
            }),
            refused(syn::parse_quote! {
                /// Help.
                struct Thing {
                    /// Help.
                    needed: f64,
                }
            }),
            refused(syn::parse_quote! {
                /// Help.
                struct Thing {
                    /// Help.
                    #[setting(default)]
                    base: Arc<dyn Guidance>,
                }
            }),
            refused(syn::parse_quote! {
                /// Help.
                enum Thing {
                    One,
                }
            }),
            refused(syn::parse_quote! {
                /// Help.
                #[setting(exampel = "Thing")]
                struct Thing;
            }),
        ];
        let parts = [
            "in a doc comment",
            "say what `undocumented` is",
            "#[setting(example = \"Thing(needed: ..)\")]",
            "default = \"Conditional\"",
            "named fields of a struct",
            "expected example, check, build, builds or sample",
        ];
        for (told, part) in told.iter().zip(parts) {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn how_a_field_is_read_follows_from_its_type() {
        let written = settings(
            &syn::parse_quote! {
                /// Help.
                #[setting(example = "Thing(..)")]
                struct Thing {
                    /// Help.
                    file: PathBuf,
                    /// Help.
                    rules: Vec<Arc<dyn Guidance>>,
                    /// Help.
                    numbers: Vec<f64>,
                    /// Help.
                    limit: Option<f64>,
                    /// Help.
                    #[setting(default = "Dse()")]
                    prior: std::sync::Arc<dyn Prior>,
                }
            },
            &quote!(home),
        );
        let written = written.unwrap().to_string();
        let reads = [
            "reader . path (\"file\")",
            "reader . list :: < dyn Guidance > (\"rules\")",
            "reader . take :: < Vec < f64 > > (\"numbers\")",
            "reader . take_option :: < f64 > (\"limit\")",
            "reader . nested_or :: < dyn Prior > (\"prior\" , \"Dse()\")",
        ];
        for read in reads {
            assert!(written.contains(read), "{read} is not in {written}");
        }
    }
}
