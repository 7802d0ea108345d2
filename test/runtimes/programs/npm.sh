npm --version
cat > tsconfig.json <<'J'
{"compilerOptions": {"target": "es2022", "module": "nodenext", "strict": true, "outDir": "out", "types": [], "skipLibCheck": true}, "files": ["a.ts"]}
J
cat > a.ts <<'J'
interface Shape { readonly area: number }
class Square implements Shape { constructor(private readonly side: number) {} get area(): number { return this.side ** 2; } }
const shapes: readonly Shape[] = [1, 2, 3].map((side) => new Square(side));
(globalThis as unknown as { console: { log(text: string): void } }).console.log(shapes.map(({ area }) => area).join());
J
node typescript/lib/tsc.js -p . && node out/a.js
