//! A chat application that falls back to another model when a provider fails, with every request recorded.
//!
//! ```sh
//! OPENAI_BASE_URL=https://api.openai.com/v1 OPENAI_API_KEY=sk-... \
//!     cargo run --example resilient_chat -- "How many moons has Jupiter?"
//! ```
//!
//! `MODEL` and `FALLBACK_MODEL` name the models, `CHAT_DB` the database.

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::env;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chatgauge::chat::{
    AnswerCache, AssembleContext, ChatFlow, CircuitBreaker, Message, OpenAiClient, Question, Role,
    Route,
};
use chatgauge::model::{Filter, TimeWindow};
use chatgauge::{Chatgauge, Config, SystemClock};

/// The context: a real application would retrieve documents and the conversation so far.
struct Instructions;

impl AssembleContext for Instructions {
    fn assemble(&self, question: &Question) -> Result<Vec<Message>, &'static str> {
        Ok(vec![
            Message::new(Role::System, "Answer in two sentences."),
            Message::new(Role::User, question.text.as_str()),
        ])
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let text = env::args().nth(1).unwrap_or_else(|| "How many moons has Jupiter?".to_owned());
    let mut config = Config::default();
    config.store.path = setting("CHAT_DB", "resilient-chat.db").into();
    let service = Chatgauge::open(config)?;

    let url = setting("OPENAI_BASE_URL", "https://api.openai.com/v1");
    let key = env::var("OPENAI_API_KEY").ok();
    let client = Arc::new(OpenAiClient::new(&url, key, Duration::from_secs(60)));
    let route = |model: String| {
        let breaker = CircuitBreaker::new(5, Duration::from_secs(30));
        Route::new("openai", model, client.clone(), breaker)
    };
    let flow = ChatFlow::new(
        service.collector(),
        Arc::new(SystemClock::new()),
        Instructions,
        AnswerCache::new(1_000, Duration::from_secs(600)),
        vec![route(setting("MODEL", "gpt-5")), route(setting("FALLBACK_MODEL", "gpt-5-mini"))],
    );

    let question =
        Question { text, user: "me".into(), space: "example".into(), session: "first".into() };
    // The second response comes from the cache.
    for _ in 0..2 {
        let outcome = flow.ask(&question, &mut |delta| {
            print!("{delta}");
            match std::io::stdout().flush() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        println!();
        if let Err(error) = outcome {
            println!("{error}");
        }
    }

    service.collector().flush(Duration::from_secs(5));
    let current = service.current(&Filter::default(), TimeWindow::Hour)?;
    println!("recorded in the last hour: {current:#?}");
    service.shutdown()?;
    Ok(())
}
