/** For each runtime: a program that prints "hello" and then the first line of its input. */
const C =
  '#include <stdio.h>\nint main(void) { char line[99]; puts("hello"); if (fgets(line, sizeof line, stdin)) fputs(line, stdout); return 0; }\n';
const CPP =
  '#include <iostream>\n#include <string>\nint main() { std::string line; std::cout << "hello\\n"; std::getline(std::cin, line); std::cout << line << "\\n"; }\n';
const PYTHON = 'print("hello")\nprint(input())\n';
const NODE = 'console.log("hello");\nconsole.log(require("fs").readFileSync(0, "utf8").split("\\n")[0]);\n';
const TYPESCRIPT =
  'import { readFileSync } from "fs";\nconst name: string = "hello";\nconsole.log(name);\nconsole.log((readFileSync(0, "utf8") as string).split("\\n")[0]);\n';
const SHELL = 'echo hello\nread line\necho "$line"\n';
const LUA = 'print("hello")\nprint(io.read())\n';
const AWK = 'BEGIN { print "hello" }\nNR == 1 { print }\n';

export const HELLO: Readonly<Record<string, string>> = {
  python: PYTHON,
  pypy: PYTHON,
  node: NODE,
  typescript: TYPESCRIPT,
  'typescript-node': TYPESCRIPT,
  bash: SHELL,
  sh: SHELL,
  perl: 'print "hello\\n"; print scalar <STDIN>;\n',
  c: C,
  c90: C,
  c99: C,
  c11: C,
  c23: C,
  cpp: CPP,
  cpp11: CPP,
  cpp14: CPP,
  cpp17: CPP,
  cpp23: CPP,
  clang: C,
  clangpp: CPP,
  'objective-c':
    '#include <stdio.h>\n#import <objc/Object.h>\n@interface Greeter : Object\n+ (void)greet;\n@end\n@implementation Greeter\n+ (void)greet { puts("hello"); }\n@end\nint main(void) { char line[99]; [Greeter greet]; if (fgets(line, sizeof line, stdin)) fputs(line, stdout); return 0; }\n',
  assembly: `.globl _start
.data
hello: .ascii "hello\\n"
.bss
line: .skip 99
.text
_start: mov $1, %eax
 mov $1, %edi
 lea hello(%rip), %rsi
 mov $6, %edx
 syscall
 xor %eax, %eax
 xor %edi, %edi
 lea line(%rip), %rsi
 mov $99, %edx
 syscall
 lea line(%rip), %rsi
 xor %edx, %edx
next: incl %edx
 cmpb $10, -1(%rsi,%rdx)
 jne next
 mov $1, %eax
 mov $1, %edi
 syscall
 mov $60, %eax
 xor %edi, %edi
 syscall
`,
  nasm: `global _start
section .data
hello: db "hello", 10
section .bss
line: resb 99
section .text
_start: mov eax, 1
 mov edi, 1
 lea rsi, [rel hello]
 mov edx, 6
 syscall
 xor eax, eax
 xor edi, edi
 lea rsi, [rel line]
 mov edx, 99
 syscall
 lea rsi, [rel line]
 xor edx, edx
next: inc edx
 cmp byte [rsi + rdx - 1], 10
 jne next
 mov eax, 1
 mov edi, 1
 syscall
 mov eax, 60
 xor edi, edi
 syscall
`,
  java: 'public class Main { public static void main(String[] args) { System.out.println("hello"); System.out.println(new java.util.Scanner(System.in).nextLine()); } }\n',
  kotlin: 'fun main() {\n  println("hello")\n  println(readLine())\n}\n',
  scala:
    'object Main { def main(args: Array[String]): Unit = { println("hello"); println(scala.io.StdIn.readLine()) } }\n',
  groovy: 'println "hello"\nprintln System.in.newReader().readLine()\n',
  clojure: '(println "hello")\n(println (read-line))\n',
  go: 'package main\nimport ("bufio"; "fmt"; "os")\nfunc main() { fmt.Println("hello"); line, _ := bufio.NewReader(os.Stdin).ReadString(10); fmt.Print(line) }\n',
  rust: 'fn main() { println!("hello"); let mut line = String::new(); std::io::stdin().read_line(&mut line).unwrap(); print!("{}", line); }\n',
  swift: 'print("hello")\nprint(readLine()!)\n',
  zig: 'const std = @import("std");\npub fn main() !void { var b: [99]u8 = undefined; const o = std.io.getStdOut().writer(); try o.writeAll("hello\\n"); const l = try std.io.getStdIn().reader().readUntilDelimiter(&b, 10); try o.print("{s}\\n", .{l}); }\n',
  d: 'import std.stdio;\nvoid main() { writeln("hello"); write(readln()); }\n',
  nim: 'echo "hello"\necho readLine(stdin)\n',
  ada: 'with Ada.Text_IO; use Ada.Text_IO;\nprocedure Main is\nbegin\n  Put_Line ("hello");\n  Put_Line (Get_Line);\nend Main;\n',
  fortran:
    'program main\n  character(99) :: line\n  print "(a)", "hello"\n  read "(a)", line\n  print "(a)", trim(line)\nend program\n',
  pascal: "var line: string;\nbegin\n  writeln('hello');\n  readln(line);\n  writeln(line);\nend.\n",
  cobol:
    'identification division.\nprogram-id. hello.\ndata division.\nworking-storage section.\n01 l pic x(5).\nprocedure division.\n  display "hello"\n  accept l\n  display l\n  stop run.\n',
  csharp:
    'class Program { static void Main() { System.Console.WriteLine("hello"); System.Console.WriteLine(System.Console.ReadLine()); } }\n',
  fsharp: 'printfn "hello"\nprintfn "%s" (System.Console.ReadLine())\n',
  'visual-basic':
    'Module Program\n  Sub Main()\n    System.Console.WriteLine("hello")\n    System.Console.WriteLine(System.Console.ReadLine())\n  End Sub\nEnd Module\n',
  basic: 'print "hello"\nline input "" l$\nprint l$\n',
  ruby: 'puts "hello"\nputs gets\n',
  php: '<?php echo "hello\\n"; echo fgets(STDIN);\n',
  lua: LUA,
  luajit: LUA,
  tcl: 'puts hello\nputs [gets stdin]\n',
  awk: AWK,
  sed: '1 { h; s/.*/hello/p; x; p }\nd\n',
  sqlite:
    "create table lines (line text);\n.import /dev/stdin lines\nselect 'hello';\nselect line from lines limit 1;\n",
  r: 'cat("hello\\n")\ncat(readLines(file("stdin"), 1), "\\n", sep = "")\n',
  octave: 'disp("hello")\ndisp(fgetl(stdin))\n',
  haskell: 'main :: IO ()\nmain = putStrLn "hello" >> getLine >>= putStrLn\n',
  ocaml: 'let () = print_endline "hello"; print_endline (read_line ())\n',
  erlang: '#!/usr/bin/env escript\nmain(_) -> io:format("hello~n"), io:format("~s", [io:get_line("")]).\n',
  elixir: 'IO.puts("hello")\nIO.write(IO.gets(""))\n',
  lisp: '(format t "hello~%")\n(format t "~a~%" (read-line))\n',
  guile: '(use-modules (ice-9 rdelim))\n(display "hello\\n")\n(display (read-line))\n(newline)\n',
  racket: '#lang racket/base\n(displayln "hello")\n(displayln (read-line))\n',
  prolog: 'main :- writeln(hello), read_line_to_string(user_input, L), writeln(L).\n',
  raku: 'say "hello"; say get;\n',
  forth: ': main ." hello" cr pad 99 stdin read-line throw drop pad swap type cr ; main\n',
  julia: 'println("hello")\nprintln(readline())\n',
  crystal: 'puts "hello"\nputs gets\n',
};
