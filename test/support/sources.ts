// Reads the source tree for tests whose subject is the code itself: files, imports, forbidden syntax.
// Paths are relative to the root of the repository, with forward slashes.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

/** The root folder of the repository. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Folders that hold nothing of ours. */
const FOREIGN: ReadonlySet<string> = new Set(['node_modules', 'dist', '.git', '.demo', 'coverage']);

/** One import of a file: what it names and where; `file` when it is one of ours. */
export interface Import {
  readonly specifier: string;
  readonly line: number;
  readonly file: string | undefined;
}

/** A spot in a file, as `path:line`, with what was found there. */
export interface Finding {
  readonly at: string;
  readonly what: string;
}

/** Every file of the repository below `folder` whose name ends in one of `endings`. */
export function listFiles(folder: string, endings: readonly string[]): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    const path = folder === '.' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!FOREIGN.has(entry.name)) found.push(...listFiles(path, endings));
    } else if (endings.some((ending) => entry.name.endsWith(ending))) found.push(path);
  }
  return found.sort();
}

/** The text of a file. */
export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** Imports of any kind: static, re-exports, `import()` and type imports. */
export function importsOf(source: ts.SourceFile): Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: string): void => {
    const isOurs = specifier.startsWith('.');
    const target = normalize(join(dirname(source.fileName), specifier)).replace(/\.js$/, '.ts');
    found.push({ specifier, line: lineOf(source, node), file: isOurs ? target : undefined });
  };
  visit(source, (node) => {
    if (
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      add(node, node.moduleSpecifier.text);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) add(node, node.argument.literal.text);
    } else if (
      ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      node.arguments[0] !== undefined &&
      ts.isStringLiteralLike(node.arguments[0])
    ) {
      add(node, node.arguments[0].text);
    }
  });
  return found;
}

/** Where one of `names` is used as a variable or as `object.member` (e.g. `Math.random`). */
export function usesOf(source: ts.SourceFile, names: ReadonlySet<string>): Finding[] {
  const found: Finding[] = [];
  const note = (node: ts.Node, what: string): void => {
    found.push({ at: `${source.fileName}:${lineOf(source, node)}`, what });
  };
  visit(source, (node, parent) => {
    if (ts.isPropertyAccessExpression(node)) {
      const text = `${node.expression.getText(source)}.${node.name.text}`;
      if (names.has(text)) note(node, text);
    }
    if (!ts.isIdentifier(node) || !names.has(node.text)) return;
    const isMember = ts.isPropertyAccessExpression(parent) && parent.name === node;
    const isName =
      (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) && parent.name === node;
    if (!isMember && !isName) note(node, node.text);
  });
  return found;
}

/** Where the type `any` is written. */
export function anyTypes(source: ts.SourceFile): Finding[] {
  const found: Finding[] = [];
  visit(source, (node) => {
    if (node.kind !== ts.SyntaxKind.AnyKeyword) return;
    found.push({ at: `${source.fileName}:${lineOf(source, node)}`, what: 'any' });
  });
  return found;
}

/** A TypeScript file, parsed; its `fileName` is the relative path. */
export function parseSource(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readText(path), ts.ScriptTarget.ES2023, false);
}

/** The groups of files that import one another in a ring; each group sorted. */
export function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  // Tarjan: a strongly connected part of more than one file is a ring.
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const rings: string[][] = [];
  const walk = (file: string): number => {
    const own = index.size;
    index.set(file, own);
    low.set(file, own);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      const reached = index.has(next)
        ? stack.includes(next)
          ? (index.get(next) ?? own)
          : own
        : walk(next);
      low.set(file, Math.min(low.get(file) ?? own, reached));
    }
    if (low.get(file) === own) {
      const ring = stack.splice(stack.indexOf(file));
      if (ring.length > 1 || graph.get(file)?.includes(file)) rings.push(ring.sort());
    }
    return low.get(file) ?? own;
  };
  for (const file of graph.keys()) if (!index.has(file)) walk(file);
  return rings;
}

function visit(root: ts.Node, look: (node: ts.Node, parent: ts.Node) => void): void {
  const walk = (node: ts.Node): void => {
    ts.forEachChild(node, (child) => {
      look(child, node);
      walk(child);
    });
  };
  walk(root);
}

function lineOf(source: ts.SourceFile, node: ts.Node): number {
  return source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
}
