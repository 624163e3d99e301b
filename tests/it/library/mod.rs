//! What a program meets that embeds the library or its client.

mod chat;
mod client;
