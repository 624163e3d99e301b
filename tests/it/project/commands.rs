//! The shell commands of `README.md` and `docs/manual-tests.md`, run as they stand, and what they print.
//!
//! A document has its commands between ```` ```sh ````, and what they print between the ```` ```text ```` that follows. The
//! commands of a document share one shell. Its ports are replaced by free ones. Without `curl`, `jq` or `openssl` nothing is run.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Marks the end of what a block prints.
const END: &str = "chatgauge-test-end-of-block";
/// Longer than any block takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Commands, and what they print when the document says so.
struct Block {
    /// The heading that they are under.
    heading: String,
    commands: String,
    expected: Option<String>,
}

/// The blocks of a document, in order.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut heading = String::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("## ") {
            text.clone_into(&mut heading);
        }
        let Some(language) = line.strip_prefix("```").filter(|name| !name.is_empty()) else {
            continue;
        };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = text.join("\n");
        match (language, blocks.last_mut()) {
            ("sh", _) => {
                let heading = heading.clone();
                blocks.push(Block { heading, commands: text, expected: None });
            }
            ("text", Some(block)) if block.heading == heading => block.expected = Some(text),
            _ => {}
        }
    }
    blocks
}

/// A shell in a directory of its own, with the program under its name.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    _directory: tempfile::TempDir,
}

impl Shell {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let programs = directory.path().join("programs");
        let place = directory.path().join("place");
        std::fs::create_dir(&programs).unwrap();
        std::fs::create_dir(&place).unwrap();
        let program = env!("CARGO_BIN_EXE_chatgauge");
        std::os::unix::fs::symlink(program, programs.join("chatgauge")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut child = Command::new("bash")
            .arg("-s")
            .current_dir(&place)
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("CHATGAUGE_LOG", "error")
            .env("CHATGAUGE_OTLP_HTTP_LISTEN", "off")
            .env("CHATGAUGE_OTLP_GRPC_LISTEN", "off")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, input, lines, _directory: directory }
    }

    /// Runs commands; the lines that they print.
    fn run(&mut self, commands: &str) -> Vec<String> {
        // What `curl` prints does not end its line.
        writeln!(self.input, "{commands}\necho\necho {END}").unwrap();
        let mut printed = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{error}: {printed:?} of\n{commands}"));
            if line == END {
                return printed;
            }
            printed.push(line.trim_end().to_owned());
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The shell with what it left in the background, all of them of its own group.
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).status());
        drop(self.child.wait());
    }
}

/// Whether a line is as the document says: `...` stands for any text, `~12` for any whole number.
fn is_like(line: &str, expected: &str) -> bool {
    if let Some(after) = expected.strip_prefix("...") {
        let mut left = line.chars();
        while !is_like(left.as_str(), after) {
            if left.next().is_none() {
                return false;
            }
        }
        return true;
    }
    let without_digits =
        |text: &str| text.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
    if let Some(number) = expected.strip_prefix('~') {
        let left = without_digits(line);
        return left.len() < line.len() && is_like(&left, &without_digits(number));
    }
    let (mut line, mut expected) = (line.chars(), expected.chars());
    match (line.next(), expected.next()) {
        (None, None) => true,
        (Some(found), Some(wanted)) => found == wanted && is_like(line.as_str(), expected.as_str()),
        _ => false,
    }
}

/// Whether the programs that the commands use are installed.
fn has_programs() -> bool {
    ["curl --version", "jq --version", "openssl version"].iter().all(|asked| {
        let status = Command::new("sh").args(["-c", asked]).stdout(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    })
}

/// Runs the blocks, with free ports in place of `ports`, and compares what they print.
fn assert_prints(blocks: impl Iterator<Item = Block>, ports: &[&str]) {
    // All are held until each is known, so that no two are the same.
    let held: Vec<TcpListener> =
        ports.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let free: Vec<String> =
        held.iter().map(|port| port.local_addr().unwrap().port().to_string()).collect();
    drop(held);
    let with_free_ports = |text: &str| {
        let pairs = ports.iter().zip(&free);
        pairs.fold(text.to_owned(), |text, (port, free)| text.replace(port, free))
    };
    let mut shell = Shell::start();
    let mut checked = 0;
    for Block { heading, commands, expected } in blocks {
        let printed = shell.run(&with_free_ports(&commands));
        let Some(expected) = expected.as_deref().map(with_free_ports) else { continue };
        checked += 1;
        let printed: Vec<&String> = printed.iter().filter(|line| !line.is_empty()).collect();
        let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty()).collect();
        let is_same = printed.len() == expected.len()
            && printed.iter().zip(&expected).all(|(line, expected)| is_like(line, expected));
        assert!(is_same, "{heading}:\n{commands}\nprinted {printed:#?}\nnot {expected:#?}");
    }
    assert!(checked > 0, "no output was compared");
}

#[test]
fn the_manual_tests_print_what_they_say() {
    if !has_programs() {
        println!("curl, jq or openssl is not installed: the commands were not run");
        return;
    }
    // The others need Python, a browser, or minutes.
    let runs = ["Setup", "1. ", "2. ", "3. ", "4. ", "5. ", "6. ", "7. ", "8. "];
    let document = include_str!("../../../docs/manual-tests.md");
    let of_these = |block: &Block| runs.iter().any(|start| block.heading.starts_with(start));
    let blocks = blocks(document).into_iter().filter(of_these);
    assert_prints(blocks, &["18089", "18090", "18091", "18092"]);
}

#[test]
fn the_commands_of_the_first_page_print_what_it_says() {
    if !has_programs() {
        println!("curl, jq or openssl is not installed: the commands were not run");
        return;
    }
    let document = include_str!("../../../README.md");
    let blocks = blocks(document).into_iter().filter_map(|mut block| {
        // Building is what made this test, and the public trace is not a file of this repository.
        let commands = block.commands.lines().filter(|line| !line.starts_with("cargo "));
        let commands: Vec<&str> = commands.collect();
        block.commands = commands.join("\n").replace("./target/release/chatgauge", "chatgauge");
        if let Some(server) = block.commands.lines().find(|line| line.contains("chatgauge serve")) {
            let listen = format!(
                "{server} --listen 127.0.0.1:8089 > server.txt &\n\
                 until curl -sf -o /dev/null http://127.0.0.1:8089/readyz; do sleep 0.1; done"
            );
            block.commands = block.commands.replace(server, &listen);
        }
        let is_run = !block.commands.is_empty() && !block.commands.contains("azure");
        is_run.then_some(block)
    });
    assert_prints(blocks, &["8089"]);
}

#[test]
fn a_line_matches_with_any_number_and_any_text() {
    for (line, expected) in [
        ("same", "same"),
        ("retry-after: 7", "retry-after: ~12"),
        ("revoked app (cg_12)", "revoked app (cg_...)"),
        ("a 5 b 6 c", "a ~1 b ~2 c"),
        ("all is well, 3 days", "all is well..."),
    ] {
        assert!(is_like(line, expected), "{line} is not like {expected}");
    }
    for (line, expected) in
        [("same ", "same"), ("b 5", "a ~5"), ("a x b", "a ~5 b"), ("a 5 c", "a ~5 b"), ("", "x...")]
    {
        assert!(!is_like(line, expected), "{line} is like {expected}");
    }
}
