//! A web server whose whole life is told by its environment: when it starts to listen, when it is healthy, when and how it
//! ends, how much memory it takes. Tests put it into an otherwise empty image to see what becomes of such an app.
//!
//! Only the standard library, one file, one thread per connection: it is compiled on the spot by plain `rustc`.

use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::process;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What the environment says. Every variable may be missing.
struct Script {
    /// `PORT` (3000; 0 for any that is free) and `MIMIC_LISTEN` (0.0.0.0): where it listens.
    address: String,
    /// `MIMIC_START_DELAY_MS`: how long it takes until it listens.
    start_delay: Duration,
    /// `MIMIC_HEALTHY_AFTER_MS`: how long `/health` answers 503 at first. `never` is allowed.
    healthy_after: Option<Duration>,
    /// `MIMIC_SICK_AFTER_MS`: when `/health` starts to answer 503 again.
    sick_after: Option<Duration>,
    /// `MIMIC_EXIT_AFTER_MS`: when it ends.
    exit_after: Option<Duration>,
    /// `MIMIC_EXIT_CODE` (1): with which code.
    exit_code: i32,
    /// `MIMIC_LAST_WORDS`: what it says on standard error before that; `\n` begins a new line.
    last_words: Option<String>,
    /// `MIMIC_EAT_MB`: memory that it takes and touches before it listens.
    eat_mb: usize,
    /// `MIMIC_MULTIPLY`: anything but empty or `0`, and it starts copies of itself instead, which do the same, without end.
    multiply: bool,
    /// `MIMIC_IGNORE_SIGTERM`: anything but empty or `0` means that only SIGKILL ends it.
    ignore_sigterm: bool,
    /// `MIMIC_LOG_LINES_PER_SECOND`: how much it talks.
    log_lines: u64,
    /// `MIMIC_ROOT_STATUS` (200): with which status it answers `/`.
    root_status: u64,
    /// `MIMIC_NO_HEALTH`: anything but empty or `0`, and it knows no `/health`.
    no_health: bool,
    /// `MIMIC_ALLOWED_HOST`: the only `Host` header that it does not answer with 400.
    allowed_host: Option<String>,
    /// `MIMIC_BODY`, or else the file `/VERSION`, or else `mimic`: what `/` answers.
    body: String,
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Option<u64> {
    let value = text(name)?;
    Some(value.parse().unwrap_or_else(|_| fail(&format!("{name}={value} is not a number"))))
}

fn switched_on(name: &str) -> bool {
    text(name).is_some_and(|value| value != "0")
}

fn millis(name: &str) -> Option<Duration> {
    number(name).map(Duration::from_millis)
}

/// `mimic exit CODE WORDS…`: instead of serving, says that on standard error and ends, as a tool does that is run once.
fn be_a_tool() {
    let mut words = env::args().skip(1);
    if words.next().as_deref() == Some("exit") {
        let code = words.next().and_then(|code| code.parse().ok()).unwrap_or_else(|| fail("`exit` needs a code"));
        eprintln!("{}", words.collect::<Vec<_>>().join(" "));
        process::exit(code);
    }
}

fn fail(message: &str) -> ! {
    eprintln!("mimic: {message}");
    process::exit(2)
}

impl Script {
    fn read() -> Self {
        let body = text("MIMIC_BODY").or_else(|| std::fs::read_to_string("/VERSION").ok());
        let listen = text("MIMIC_LISTEN").unwrap_or_else(|| "0.0.0.0".to_owned());
        let never = text("MIMIC_HEALTHY_AFTER_MS").as_deref() == Some("never");
        Self {
            address: format!("{listen}:{}", number("PORT").unwrap_or(3000)),
            start_delay: millis("MIMIC_START_DELAY_MS").unwrap_or_default(),
            healthy_after: if never { None } else { Some(millis("MIMIC_HEALTHY_AFTER_MS").unwrap_or_default()) },
            sick_after: millis("MIMIC_SICK_AFTER_MS"),
            exit_after: millis("MIMIC_EXIT_AFTER_MS"),
            exit_code: number("MIMIC_EXIT_CODE").map_or(1, |code| code as i32),
            last_words: text("MIMIC_LAST_WORDS").map(|words| words.replace("\\n", "\n")),
            eat_mb: number("MIMIC_EAT_MB").unwrap_or(0) as usize,
            multiply: switched_on("MIMIC_MULTIPLY"),
            ignore_sigterm: switched_on("MIMIC_IGNORE_SIGTERM"),
            log_lines: number("MIMIC_LOG_LINES_PER_SECOND").unwrap_or(0),
            root_status: number("MIMIC_ROOT_STATUS").unwrap_or(200),
            no_health: switched_on("MIMIC_NO_HEALTH"),
            allowed_host: text("MIMIC_ALLOWED_HOST"),
            body: body.unwrap_or_else(|| "mimic".to_owned()),
        }
    }

    fn healthy(&self, age: Duration) -> bool {
        self.healthy_after.is_some_and(|after| age >= after) && self.sick_after.is_none_or(|after| age < after)
    }
}

fn main() {
    be_a_tool();
    let words: Vec<String> = env::args().skip(1).collect();
    if let Some((_, places)) = words.split_first().filter(|(word, _)| *word == "reach") {
        // A build's step: it says what it reached and goes on.
        return places.iter().for_each(|at| println!("reach {at} {}", reach(at)));
    }
    let (script, born) = (Arc::new(Script::read()), Instant::now());
    obey_or_ignore_sigterm(script.ignore_sigterm);
    if script.multiply {
        multiply();
    }
    end_in_time(&script);
    talk(script.log_lines);
    // Touched page by page, so that it is really taken.
    let eaten = vec![1_u8; script.eat_mb << 20];
    thread::sleep(script.start_delay);
    let listener =
        TcpListener::bind(&script.address).unwrap_or_else(|error| fail(&format!("{}: {error}", script.address)));
    let address = listener.local_addr().map_or_else(|_| script.address.clone(), |address| address.to_string());
    println!("mimic: listening on {address} with {} MB eaten", eaten.len() >> 20);
    for stream in listener.incoming().flatten() {
        let script = script.clone();
        // A visitor who hangs up is no concern of the next one.
        thread::spawn(move || serve(stream, &script, born));
    }
}

unsafe extern "C" {
    fn signal(number: i32, handler: usize) -> usize;
    fn _exit(code: i32) -> !;
}

const SIGTERM: i32 = 15;
const IGNORE: usize = 1;

extern "C" fn exit_at_once(_: i32) {
    // SAFETY: `_exit` may be called from a signal handler.
    unsafe { _exit(0) }
}

/// As process 1 of a container nothing ends it by default, so obeying needs a handler too.
fn obey_or_ignore_sigterm(ignore: bool) {
    let handler = if ignore { IGNORE } else { exit_at_once as extern "C" fn(i32) as usize };
    // SAFETY: the handler calls nothing but `_exit`.
    unsafe { signal(SIGTERM, handler) };
}

fn multiply() -> ! {
    loop {
        // Whether there is room for another one is for the others to say.
        let _ = process::Command::new("/proc/self/exe").spawn();
    }
}

fn end_in_time(script: &Arc<Script>) {
    let Some(after) = script.exit_after else { return };
    let script = script.clone();
    thread::spawn(move || {
        thread::sleep(after);
        if let Some(words) = &script.last_words {
            eprintln!("{words}");
        }
        process::exit(script.exit_code)
    });
}

fn talk(lines_per_second: u64) {
    if lines_per_second > 0 {
        thread::spawn(move || {
            for line in 0_u64.. {
                println!("mimic: line {line} of very many that nobody will ever read");
                thread::sleep(Duration::from_secs(1) / u32::try_from(lines_per_second).unwrap_or(u32::MAX));
            }
        });
    }
}

struct Request {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    fn host(&self) -> Option<&str> {
        let named = |line: &'_ String| line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("host"));
        self.headers.iter().find(|line| named(line)).map(|line| line["host:".len()..].trim())
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("/").to_owned());
    let mut headers = Vec::new();
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "transfer-encoding" => chunked = value.to_ascii_lowercase().contains("chunked"),
            _ => {}
        }
        headers.push(line.to_owned());
    }
    let mut body = vec![0; length];
    if chunked {
        body = read_chunks(reader)?;
    } else {
        reader.read_exact(&mut body)?;
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect();
    Ok(Some(Request { method, path: path.to_owned(), query, headers, body }))
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// `%2F` and such in a query's value.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = (byte == b'%').then(|| [rest.next(), rest.next()].map(|digit| digit.unwrap_or(b'0')));
        let parsed = hex.and_then(|hex| u8::from_str_radix(&String::from_utf8_lossy(&hex), 16).ok());
        bytes.push(parsed.unwrap_or(byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn serve(stream: TcpStream, script: &Script, born: Instant) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        answer(&mut writer, &request, script, born)?;
    }
    Ok(())
}

fn answer(to: &mut TcpStream, request: &Request, script: &Script, born: Instant) -> io::Result<()> {
    let value = |name: &str| request.query.get(name).map(String::as_str);
    if script.allowed_host.as_ref().is_some_and(|host| request.host() != Some(host)) {
        return send(to, "400 Bad Request", &[], "mimic refuses this host");
    }
    match request.path.as_str() {
        "/" => send(to, &format!("{} As told", script.root_status), &[], &script.body),
        "/health" if script.no_health => send(to, NOT_FOUND.0, &[], NOT_FOUND.1),
        "/health" if script.healthy(born.elapsed()) => send(to, "200 OK", &[], "healthy"),
        "/health" => send(to, "503 Service Unavailable", &[], "sick"),
        "/env" => send(to, "200 OK", &[], &environment()),
        "/echo" => send(to, "200 OK", &[], &echo(request)),
        "/slow" => {
            thread::sleep(Duration::from_millis(value("ms").and_then(|ms| ms.parse().ok()).unwrap_or(1000)));
            send(to, "200 OK", &[], &script.body)
        }
        "/stream" => stream(to, value("ticks").and_then(|ticks| ticks.parse().ok()).unwrap_or(5)),
        "/cookie" => send(to, "200 OK", &COOKIES, "cookies set"),
        "/redirect" => {
            let location = format!("Location: {}", value("to").unwrap_or("/").replace(['\r', '\n'], ""));
            send(to, "302 Found", &[&location], "")
        }
        "/exit" => process::exit(script.exit_code),
        "/reach" => send(to, "200 OK", &[], &reach(value("at").unwrap_or(""))),
        "/read" => {
            let read = std::fs::read_to_string(value("path").unwrap_or(""));
            send(to, "200 OK", &[], &read.unwrap_or_else(|error| format!("refused: {error}")))
        }
        "/write" => {
            let megabytes = value("mb").and_then(|mb| mb.parse().ok()).unwrap_or(0);
            let written = write_file(value("path").unwrap_or(""), megabytes);
            send(
                to,
                "200 OK",
                &[],
                &written.map_or_else(|error| format!("refused: {error}"), |()| "written".to_owned()),
            )
        }
        "/eat" => {
            EATEN.lock().unwrap().push(vec![1; value("mb").and_then(|mb| mb.parse().ok()).unwrap_or(1) << 20]);
            send(to, "200 OK", &[], "eaten")
        }
        "/multiply" => {
            thread::spawn(|| multiply());
            send(to, "200 OK", &[], "multiplying")
        }
        "/talk" => {
            let line = "mimic: a line of very many that nobody will ever read\n".repeat(20_000);
            for _ in 0..value("mb").and_then(|mb| mb.parse().ok()).unwrap_or(1) {
                io::stdout().write_all(line.as_bytes())?;
            }
            send(to, "200 OK", &[], "talked")
        }
        _ => send(to, NOT_FOUND.0, &[], NOT_FOUND.1),
    }
}

const NOT_FOUND: (&str, &str) = ("404 Not Found", "mimic knows no such path");

/// What `/eat` took, for good.
static EATEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Whether a host and port answer within a second: `open`, or why not.
fn reach(at: &str) -> String {
    let connected = at.to_socket_addrs().and_then(|mut found| {
        let address = found.next().ok_or_else(|| io::Error::other("no such host"))?;
        TcpStream::connect_timeout(&address, Duration::from_secs(1))
    });
    connected.map_or_else(|error| format!("closed: {error}"), |_| "open".to_owned())
}

/// Writes so many megabytes to a file (none: opens it for writing), or to the socket that it is.
fn write_file(path: &str, megabytes: usize) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    let block = vec![b'x'; 1 << 20];
    (0..megabytes).try_for_each(|_| file.write_all(&block))
}

const COOKIES: [&str; 4] = [
    "Set-Cookie: plain=1",
    "Set-Cookie: rooted=1; Path=/; HttpOnly",
    "Set-Cookie: deep=1; Path=/admin",
    "Set-Cookie: wide=1; Path=/; Domain=example.org",
];

fn send(to: &mut TcpStream, status: &str, headers: &[&str], body: &str) -> io::Result<()> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n");
    to.write_all(format!("{head}{headers}\r\n{body}").as_bytes())
}

fn environment() -> String {
    let mut lines: Vec<String> = env::vars().map(|(name, value)| format!("{name}={value}\n")).collect();
    lines.sort();
    lines.concat()
}

fn echo(request: &Request) -> String {
    let headers: String = request.headers.iter().map(|header| format!("{header}\n")).collect();
    let mut query: Vec<_> = request.query.iter().collect();
    query.sort();
    format!("{} {}\nquery: {query:?}\n{headers}\nbody: {} bytes\n", request.method, request.path, request.body.len())
}

/// Server-sent events, ten a second, each as a chunk of its own.
fn stream(to: &mut TcpStream, ticks: usize) -> io::Result<()> {
    to.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for tick in 0..ticks {
        let event = format!("data: tick {tick}\n\n");
        to.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
        thread::sleep(Duration::from_millis(100));
    }
    to.write_all(b"0\r\n\r\n")
}
