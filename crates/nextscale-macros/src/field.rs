//! A field: how it is read and how it is described.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{
    Error, Expr, ExprLit, Field, GenericArgument, Lit, PathArguments, PathSegment, Result, Type,
    TypeTraitObject,
};

use crate::attributes::{Given, OfField};
use crate::docs::first_paragraph;

/// A setting.
pub struct Setting<'a> {
    field: &'a Field,
    name: String,
    about: String,
    given: OfField,
    form: Form<'a>,
    /// Whether the field is an `Option`.
    option: bool,
}

/// How the config gives the value, from the field's type.
enum Form<'a> {
    Leaf(&'a Type),
    Path,
    Nested(&'a TypeTraitObject),
    List(&'a TypeTraitObject),
}

impl<'a> Setting<'a> {
    pub fn of(field: &'a Field) -> Result<Self> {
        let Some(name) = &field.ident else {
            return Err(Error::new(field.span(), "settings have names: give the field one"));
        };
        let about = first_paragraph(&field.attrs);
        if about.is_empty() {
            let message = format!("say what `{name}` is, in a doc comment: it is the setting's help");
            return Err(Error::new(field.span(), message));
        }
        let inner = argument(&field.ty).filter(|_| last_segment(&field.ty) == Some("Option"));
        let form = Form::of(inner.unwrap_or(&field.ty));
        let given = OfField::parse(&field.attrs)?;
        let setting = Self { field, name: name.to_string(), about, given, form, option: inner.is_some() };
        setting.checked()
    }

    fn checked(self) -> Result<Self> {
        let refused = |message: &str| Err(Error::new(self.field.span(), message));
        match (&self.form, &self.given.default) {
            (_, Some(_)) if self.option => {
                refused("an Option is None if it is left out; it takes no default")
            }
            (Form::List(_), _) if self.option => refused("a list may be empty: leave the Option out"),
            (Form::Nested(_), Some(Given::Value(value))) if !is_text(value) => {
                refused("the default of a nested setting is its RON text, as in default = \"Conditional\"")
            }
            (Form::Nested(_), Some(Given::OfType)) => {
                refused("say which thing, in RON, as in default = \"Conditional\"")
            }
            (Form::Path | Form::List(_), Some(_)) => refused("a path or a list takes no default"),
            _ => Ok(self),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a config may leave it out.
    pub fn is_optional(&self) -> bool {
        self.option || self.given.default.is_some()
    }

    /// `field: what the reader gives,`
    pub fn read(&self) -> TokenStream {
        let (ident, name) = (&self.field.ident, &self.name);
        let value = match (&self.form, self.default()) {
            (Form::Leaf(kind), _) if self.option => quote!(reader.take_option::<#kind>(#name)?),
            (Form::Leaf(kind), None) => quote!(reader.take::<#kind>(#name)?),
            (Form::Leaf(kind), Some(default)) => quote!(reader.take_or::<#kind>(#name, #default)?),
            (Form::Path, _) if self.option => quote!(reader.path_option(#name)?),
            (Form::Path, _) => quote!(reader.path(#name)?),
            (Form::Nested(kind), _) if self.option => quote!(reader.nested_option::<#kind>(#name)?),
            (Form::Nested(kind), None) => quote!(reader.nested::<#kind>(#name)?),
            (Form::Nested(kind), Some(default)) => quote!(reader.nested_or::<#kind>(#name, #default)?),
            (Form::List(kind), _) => quote!(reader.list::<#kind>(#name)?),
        };
        let value = match &self.given.check {
            None => value,
            Some(check) => quote!({
                let value = #value;
                reader.check(#name, #check(&value))?;
                value
            }),
        };
        quote!(#ident: #value,)
    }

    /// The expression of a `Setting`.
    pub fn describe(&self, home: &TokenStream) -> TokenStream {
        let Self { name, about, .. } = self;
        let fallback = match (&self.form, self.default()) {
            _ if self.option => quote!(#home::Fallback::Nothing),
            (_, None) => quote!(#home::Fallback::MustBeGiven),
            (Form::Leaf(kind), Some(default)) => quote!(#home::Fallback::value::<#kind>(&#default)),
            (_, Some(default)) => quote!(#home::Fallback::written(#default)),
        };
        let schema = self.form.schema(home);
        quote!(#home::Setting { name: #name, about: #about, fallback: #fallback, schema: #schema })
    }

    /// The value if the field is left out: an expression of the field's type, or the RON text of a nested
    /// setting.
    fn default(&self) -> Option<TokenStream> {
        match self.given.default.as_ref()? {
            Given::OfType => Some(quote!(::core::default::Default::default())),
            Given::Value(value) => Some(quote!(#value)),
        }
    }
}

impl<'a> Form<'a> {
    fn of(kind: &'a Type) -> Self {
        match (last_segment(kind), argument(kind)) {
            (Some("PathBuf"), _) => Self::Path,
            (Some("Arc"), Some(Type::TraitObject(object))) => Self::Nested(object),
            (Some("Vec"), Some(inner)) => match Self::of(inner) {
                Self::Nested(object) => Self::List(object),
                _ => Self::Leaf(kind),
            },
            _ => Self::Leaf(kind),
        }
    }

    fn schema(&self, home: &TokenStream) -> TokenStream {
        match self {
            Self::Leaf(kind) => quote!(#home::schema::leaf::<#kind>),
            Self::Path => quote!(#home::schema::leaf::<::std::string::String>),
            Self::Nested(kind) => quote!(#home::schema::nested::<#kind>),
            Self::List(kind) => quote!(#home::schema::list::<#kind>),
        }
    }
}

fn segment(kind: &Type) -> Option<&PathSegment> {
    match kind {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

fn last_segment(kind: &Type) -> Option<&'static str> {
    let ident = &segment(kind)?.ident;
    ["PathBuf", "Option", "Arc", "Vec"].into_iter().find(|name| ident == name)
}

/// T of `Name<T>`.
fn argument(kind: &Type) -> Option<&Type> {
    match &segment(kind)?.arguments {
        PathArguments::AngleBracketed(arguments) if arguments.args.len() == 1 => {
            match arguments.args.first()? {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            }
        }
        _ => None,
    }
}

fn is_text(value: &Expr) -> bool {
    matches!(value, Expr::Lit(ExprLit { lit: Lit::Str(_), .. }))
}
