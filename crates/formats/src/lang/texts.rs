//! How a table of texts is declared.

/// A struct of texts by name, each with what it is for and its places.
macro_rules! texts {
    ($table:ident, $($(#[$doc:meta])* $name:ident,)*) => {
        /// These texts in a language.
        pub struct $table {
            $($(#[$doc])* pub $name: &'static str,)*
        }

        impl $table {
            /// All of them by name.
            pub(super) fn all(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}
