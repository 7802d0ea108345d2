import { describe, expect, it } from 'vitest';
import { javaProgram } from './java-source.js';

const MAIN = 'public static void main(String[] args) {}';

describe('the names of a Java program', () => {
  it.each([
    ['a public class', `public class Hello { ${MAIN} }`, 'Hello.java', 'Hello'],
    ['a public class named Main', `public class Main { ${MAIN} }`, 'Main.java', 'Main'],
    ['a package', `package org.example.app;\npublic class Hello { ${MAIN} }`, 'Hello.java', 'org.example.app.Hello'],
    ['no public class', `class Hello { ${MAIN} }`, 'Main.java', 'Hello'],
    ['no class at all', 'void main() {}', 'Main.java', 'Main'],
    ['nothing', '', 'Main.java', 'Main'],
    ['modifiers on either side', `final public strictfp class A { ${MAIN} }`, 'A.java', 'A'],
    ['a public interface', `public interface A { static void main(String... a) {} }`, 'A.java', 'A'],
    ['a public enum', `public enum A { X, Y; ${MAIN} }`, 'A.java', 'A'],
    ['a public record', `public record A(int x, String y) { ${MAIN} }`, 'A.java', 'A'],
    ['type parameters', `public class A<T extends Comparable<T>> extends B<T> implements C { ${MAIN} }`, 'A.java', 'A'],
    [
      'annotations',
      `@Deprecated(since = "public class B") @SuppressWarnings({"x"})\npublic class A { ${MAIN} }`,
      'A.java',
      'A',
    ],
    ['a class named in an annotation', `@Use(String.class) public class A { ${MAIN} }`, 'A.java', 'A'],
    ['an annotation type', `public @interface A { } class B { ${MAIN} }`, 'A.java', 'B'],
    ['imports of such words', `import a.record.B;\nimport static x.y.main;\npublic class A { ${MAIN} }`, 'A.java', 'A'],
    [
      'comments',
      `// public class B {\n/* public class C { */ public /* x */ class /* y */ A { ${MAIN} }`,
      'A.java',
      'A',
    ],
    ['a comment without an end', `public class A { ${MAIN} } /* public class B {`, 'A.java', 'A'],
    [
      'strings with braces',
      `class B { String s = "}\\"{ public class X {"; char c = '}'; }\npublic class A { ${MAIN} }`,
      'A.java',
      'A',
    ],
    [
      'text blocks',
      `class B { String s = """\n } " \\""" public class X { """; }\npublic class A { ${MAIN} }`,
      'A.java',
      'A',
    ],
    [
      'public classes inside others',
      `class Outer { public static class In { ${MAIN} } ${MAIN} }`,
      'Main.java',
      'Outer',
    ],
    ['main of an inner class alone', `class A { class In { ${MAIN} } }\nclass B { ${MAIN} }`, 'Main.java', 'B'],
    [
      'main in another class',
      `public class Solution { int f() { return 1; } }\nclass Main { ${MAIN} }`,
      'Solution.java',
      'Main',
    ],
    ['main in the last one', `public class A {} class B {} class C { ${MAIN} }`, 'A.java', 'C'],
    ['Main that inherits it', `class Base { ${MAIN} } public class Main extends Base {}`, 'Main.java', 'Main'],
    ['a public class that is no program', `public class A { void run() {} }`, 'A.java', 'A'],
    [
      'a call of main',
      `public class A { void f() { main (null); } int main(int x) { return x; } } class B { ${MAIN} }`,
      'A.java',
      'B',
    ],
    ['letters of other alphabets', `public class Größe$1_ { ${MAIN} }`, 'Größe$1_.java', 'Größe$1_'],
    ['a name that no file may have', `public class ${'A'.repeat(300)} { ${MAIN} }`, 'Main.java', 'A'.repeat(300)],
    ['a name that is a path', `public class ../../etc/x { ${MAIN} }`, 'etc.java', 'etc'],
  ])('%s', (_what, source, fileName, mainClass) => {
    expect(javaProgram(source)).toEqual({ fileName, mainClass });
  });

  it.each([
    ['quotes', '"'.repeat(1 << 20)],
    ['apostrophes', "'".repeat(1 << 20)],
    ['backslashes in a string', `"${'\\'.repeat(1 << 20)}`],
    ['one long string', `"${'x'.repeat(1 << 20)}`],
    ['one long text block', `"""${'"" '.repeat(1 << 18)}`],
    ['beginnings of comments', '/*'.repeat(1 << 19)],
    ['braces', '{'.repeat(1 << 20)],
    ['closing braces', '}'.repeat(1 << 20)],
    ['one long word', 'x'.repeat(1 << 20)],
    ['classes', 'class A '.repeat(1 << 17)],
  ])('a mebibyte of %s is read to its end', (_what, source) => {
    expect(javaProgram(source).fileName).toBe('Main.java');
  });
});
