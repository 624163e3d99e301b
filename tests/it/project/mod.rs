//! The repository itself: layering rules, documents and their commands.

mod circles;
mod commands;
mod docs;
mod sql_recipes;
mod tidy;
mod words;
