//! An app whose behaviour is its arguments, small enough for an image from scratch. Compiled by the tests with `rustc` alone.
//!
//! `serve` answers on $PORT: `/env/NAME` the variable, `/litter/FOLDER/NUMBER` when it has made so many more files that are empty, `/open/HOST:PORT` whether a connection succeeds, `/uid` its user, all else `ok`.
//! `exit CODE` prints two lines and ends. `deaf` runs and never listens. `eat MB` takes memory. `tree DIR` lists a folder and ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["exit", code] => {
            println!("cannot go on");
            eprintln!("giving up");
            std::process::exit(code.parse().unwrap());
        }
        ["deaf"] => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        ["eat", megabytes] => eat(megabytes.parse().unwrap()),
        ["tree", folder] => tree(folder),
        _ => serve(),
    }
}

fn eat(megabytes: usize) {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    for megabyte in 0..megabytes {
        eaten.push(vec![1; 1 << 20]);
        if megabyte % 100 == 0 {
            println!("{megabyte} MB");
        }
    }
    println!("{} MB are enough", std::hint::black_box(&eaten).len());
}

fn tree(folder: &str) {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names.iter().for_each(|name| println!("{}", name.to_string_lossy()));
}

fn litter(what: &str) -> String {
    let (folder, number) = what.split_once('/').unwrap();
    let there = std::fs::read_dir(format!("/{folder}")).unwrap().count();
    let made = (there..there + number.parse::<usize>().unwrap())
        .try_for_each(|file| std::fs::write(format!("/{folder}/{file}"), ""));
    format!("{made:?}")
}

fn serve() {
    let port = std::env::var("PORT").unwrap();
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: TcpStream) {
    let mut line = String::new();
    let _ = BufReader::new(&stream).read_line(&mut line);
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let body = match path.strip_prefix('/').unwrap_or("").split_once('/') {
        Some(("env", name)) => std::env::var(name).unwrap_or_else(|_| "unset".to_owned()),
        Some(("open", address)) => open(address).to_string(),
        Some(("litter", what)) => litter(what),
        _ if path == "/uid" => status("Uid:"),
        _ => "ok".to_owned(),
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn open(address: &str) -> bool {
    let resolved = address.to_socket_addrs().ok().and_then(|mut found| found.next());
    resolved.is_some_and(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
}

fn status(field: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}
