// Small damages to a source text, one at a time: each a place where a rule could be missing without anyone noticing.
// Found on the syntax tree, so that every mutant still parses.
import ts from 'typescript';

export interface Mutant {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** `before -> after`, on one line; with the file it names the mutant across edits elsewhere. */
  readonly what: string;
}

const COMPARISONS: Readonly<Record<string, readonly string[]>> = {
  '<': ['<=', '>='],
  '<=': ['<', '>'],
  '>': ['>=', '<='],
  '>=': ['>', '<'],
  '===': ['!=='],
  '!==': ['==='],
  '&&': ['||'],
  '||': ['&&'],
  '+': ['-'],
  '-': ['+'],
};
const SWAPPED: Readonly<Record<string, string>> = {
  'Math.max': 'Math.min',
  'Math.min': 'Math.max',
};

/** Every mutant of one file. */
export function findMutants(file: string, text: string): Mutant[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true);
  const mutants: Mutant[] = [];

  function add(node: ts.Node, replacement: string): void {
    const start = node.getStart(source);
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    const what = `${oneLine(node.getText(source))} -> ${oneLine(replacement) || '(nothing)'}`;
    mutants.push({ file, line, start, end: node.end, replacement, what });
  }

  function visit(node: ts.Node): void {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isInterfaceDeclaration(node))
      return;
    if (ts.isTypeAliasDeclaration(node) || ts.isThrowStatement(node)) return;
    for (const replacement of replacementsOf(node)) add(node, replacement);
    ts.forEachChild(node, visit);
  }

  function replacementsOf(node: ts.Node): string[] {
    if (ts.isBinaryExpression(node)) return binary(node);
    if (ts.isIfStatement(node)) return [`if (!(${textOf(node.expression)})) ${rest(node)}`];
    if (ts.isConditionalExpression(node)) {
      const { condition, whenTrue, whenFalse } = node;
      return [`(${textOf(condition)} ? ${textOf(whenFalse)} : ${textOf(whenTrue)})`];
    }
    if (ts.isNumericLiteral(node)) return [`(${node.text} + 1)`];
    if (node.kind === ts.SyntaxKind.TrueKeyword) return ['false'];
    if (node.kind === ts.SyntaxKind.FalseKeyword) return ['true'];
    if (ts.isPropertyAccessExpression(node)) {
      const swapped = SWAPPED[textOf(node)];
      return swapped === undefined ? [] : [swapped];
    }
    if (ts.isArrayLiteralExpression(node)) return withoutEach(node.elements, '[', ']');
    if (ts.isObjectLiteralExpression(node) && isRecordChange(node)) {
      return withoutEach(node.properties, '{', '}');
    }
    if (ts.isExpressionStatement(node)) return isSatisfies(node) ? [] : ['{}'];
    if (ts.isBreakStatement(node)) return [];
    if (ts.isReturnStatement(node)) return returned(node);
    return [];
  }

  function binary(node: ts.BinaryExpression): string[] {
    const operator = node.operatorToken.getText(source);
    return (COMPARISONS[operator] ?? []).map(
      (other) => `(${textOf(node.left)} ${other} ${textOf(node.right)})`,
    );
  }

  /** `return this.#act(…)` of a function without a result: the act is left out. `return;`: it goes on. */
  function returned(node: ts.ReturnStatement): string[] {
    if (node.expression === undefined) {
      return ts.isIfStatement(node.parent) ? ['{}'] : [];
    }
    if (!ts.isCallExpression(node.expression)) return [];
    return functionOf(node)?.type?.kind === ts.SyntaxKind.VoidKeyword ? ['return;'] : [];
  }

  function rest(node: ts.IfStatement): string {
    return text.slice(node.thenStatement.getStart(source), node.end);
  }

  function textOf(node: ts.Node): string {
    return node.getText(source);
  }

  /** Elements of lists, each left out once. */
  function withoutEach(elements: readonly ts.Node[], open: string, close: string): string[] {
    return elements.map((left) => {
      const kept = elements.filter((element) => element !== left).map(textOf);
      return `${open}${kept.join(', ')}${close}`;
    });
  }

  visit(source);
  return mutants;
}

/** The text with one mutant in it. */
export function applyMutant(text: string, mutant: Mutant): string {
  return text.slice(0, mutant.start) + mutant.replacement + text.slice(mutant.end);
}

/** `#note({ … })`: what a step remembers. */
function isRecordChange(node: ts.ObjectLiteralExpression): boolean {
  if (!ts.isCallExpression(node.parent)) return false;
  const { expression } = node.parent;
  return ts.isPropertyAccessExpression(expression) && expression.name.text === '#note';
}

function isSatisfies(node: ts.ExpressionStatement): boolean {
  return ts.isSatisfiesExpression(node.expression);
}

function functionOf(node: ts.Node): ts.SignatureDeclaration | undefined {
  for (let at: ts.Node | undefined = node; at !== undefined; at = at.parent) {
    if (ts.isFunctionLike(at)) return at;
  }
  return undefined;
}

function oneLine(text: string): string {
  const flat = text.replace(/\s+/g, ' ').trim();
  return flat.length <= 100 ? flat : `${flat.slice(0, 70)} … ${flat.slice(-25)}`;
}
