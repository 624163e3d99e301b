//! A Rust program that sends records of its requests to a chatgauge server, without the server's dependencies:
//!
//! ```sh
//! cargo run --example remote --no-default-features -- http://127.0.0.1:8089 TOKEN
//! ```

#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::time::Duration;

use chatgauge::client::{Client, RemoteCollector};
use chatgauge::{RequestInfo, Usage};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8089".to_owned());
    let token = arguments.next().unwrap_or_default();
    let remote = RemoteCollector::start(Client::new(&url, &token))?;
    let telemetry = remote.collector();

    let mut request = telemetry.start_request(RequestInfo::chat("gpt-5").user("me").space("rust"));
    // ... assemble the context ...
    request.context_assembled();
    let mut llm = request.llm_call("openai", "gpt-5");
    // ... call the model ...
    llm.first_token();
    llm.usage(Usage::new(1_200, 85));
    llm.ok();
    request.complete();

    let is_stored = remote.shutdown(Duration::from_secs(5));
    println!(
        "{}",
        if is_stored { "stored" } else { "the server did not accept the record in time" }
    );
    Ok(())
}
