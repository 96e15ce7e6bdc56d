// SPDX-License-Identifier: GPL-2.0

//! Finds byte strings in a file: `scan FILE`, with lines `NAME HEX` on its input, prints `NAME OFFSET` for every place.
//!
//! For secrets.sh, whose file is the memory of a virtual machine. All strings are looked for at every offset in one pass.

use std::{env, fs::File, io, io::Read, os::unix::fs::FileExt, process::exit};

const PAGE: usize = 4096;
const CHUNK: usize = 1024 * PAGE;

fn fail(what: &str) -> ! {
    eprintln!("scan: error: {what}");
    exit(2)
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect()
}

fn main() {
    let path = env::args().nth(1).unwrap_or_else(|| fail("name a file"));
    let mut input = String::new();
    io::stdin()
        .read_to_string(&mut input)
        .unwrap_or_else(|e| fail(&e.to_string()));
    let mut wanted: Vec<(&str, Vec<u8>)> = Vec::new();
    for line in input.lines() {
        match line.split_once(' ') {
            Some((name, hex)) => match bytes_of(hex) {
                Some(bytes) if bytes.len() >= 16 => wanted.push((name, bytes)),
                _ => fail(&format!("not at least 16 bytes in hexadecimal: {line}")),
            },
            None => fail(&format!("not a name and bytes: {line}")),
        }
    }
    // Which pairs of bytes some string begins with.
    let mut begins = vec![false; 1 << 16];
    for (_, bytes) in &wanted {
        begins[usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))] = true;
    }
    let longest = wanted.iter().map(|(_, b)| b.len()).max().unwrap_or(0);

    let file = File::open(&path).unwrap_or_else(|e| fail(&format!("{path}: {e}")));
    let size = file.metadata().map_or(0, |m| m.len() as usize);
    let mut buffer = vec![0u8; CHUNK + longest];
    let mut offset = 0;
    while offset < size {
        let want = buffer.len().min(size - offset);
        file.read_exact_at(&mut buffer[..want], offset as u64)
            .unwrap_or_else(|e| fail(&format!("{path}: {e}")));
        let data = &buffer[..want];
        let own = CHUNK.min(want);
        for page in (0..own).step_by(PAGE) {
            let end = (page + PAGE).min(own);
            // Most of a fresh machine's memory; no string that is looked for begins with zeros.
            if data[page..end].iter().all(|&b| b == 0) {
                continue;
            }
            for at in page..end.min(want - 1) {
                if begins[usize::from(u16::from_le_bytes([data[at], data[at + 1]]))] {
                    for (name, bytes) in &wanted {
                        if data[at..].starts_with(bytes) {
                            println!("{name} {}", offset + at);
                        }
                    }
                }
            }
        }
        offset += CHUNK;
    }
}
