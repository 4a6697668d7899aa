//! The instructions that an environment variable allows.

use std::sync::LazyLock;

/// Restricts the kernels to some instructions: `portable`, `avx2`, `avx512` or `amx`, each with all before it.
/// Without it the processor's best are used. Products that faer computes choose their own.
pub const VARIABLE: &str = "NEXTSCALE_ROUTE";

/// Its value, read once; empty if it is not set.
static ASKED: LazyLock<String> =
    LazyLock::new(|| std::env::var_os(VARIABLE).unwrap_or_default().to_string_lossy().into_owned());

/// The routes, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    Portable,
    Avx2,
    Avx512,
    Amx,
}

impl Route {
    const ALL: [(&str, Self); 4] =
        [("portable", Self::Portable), ("avx2", Self::Avx2), ("avx512", Self::Avx512), ("amx", Self::Amx)];

    /// The route of this name; all of them if the name is empty.
    pub fn named(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self::Amx);
        }
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, route)| route)
    }

    /// The most that may be used.
    ///
    /// # Panics
    /// If the variable names none.
    pub fn limit() -> Self {
        Self::named(asked()).unwrap_or_else(|| panic!("{VARIABLE} is `{}`, which is no route", asked()))
    }
}

/// What the variable asks for; empty if it is not set.
pub fn asked() -> &'static str {
    &ASKED
}
