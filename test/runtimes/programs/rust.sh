cat > a.rs <<'R'
use std::{collections::HashMap, io::{Read, Write}, net::{TcpListener, TcpStream}, sync::{mpsc, Arc, Mutex}, thread};
fn main() {
    let total = Arc::new(Mutex::new(0u64));
    let handles: Vec<_> = (0..50).map(|i| { let total = total.clone(); thread::spawn(move || { *total.lock().unwrap() += i; }) }).collect();
    for handle in handles { handle.join().unwrap(); }
    println!("{}", total.lock().unwrap());
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || for i in 0..10 { tx.send(i * i).unwrap(); });
    println!("{:?}", rx.iter().collect::<Vec<i32>>());
    println!("{}", thread::spawn(|| { if true { panic!("oh"); } }).join().is_err());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || { let (mut s, _) = listener.accept().unwrap(); s.write_all(b"hello").unwrap(); });
    let mut text = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
    server.join().unwrap();
    println!("{text}");
    let words: HashMap<&str, usize> = ["a", "bb", "ccc"].iter().map(|w| (*w, w.len())).collect();
    println!("{}", words.values().sum::<usize>());
}
R
/usr/bin/rustc -O a.rs -o a && ./a 2> /dev/null
