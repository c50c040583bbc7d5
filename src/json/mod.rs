//! Lossless JSON: lexer, parser, document, value, number, comparison.

pub mod compare;
pub mod document;
pub mod kind;
pub mod lexer;
pub mod node;
pub mod number;
pub mod parser;
pub mod plain_run;
pub mod text;
pub mod value;
