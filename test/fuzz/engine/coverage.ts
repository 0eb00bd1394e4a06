// Which code ran: each source that is loaded from a folder gets a mark at the start of each function and branch, which
// reports once. A mark that has reported costs as good as nothing, and what an input reached is known at once.
import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parseAst } from 'rolldown/parseAst';

/** Of all sources together; src has some 9,000. */
const MAX_MARKS = 65_536;

interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

export class Coverage {
  private readonly seen = new Uint8Array(MAX_MARKS);
  /** With the last mark of each. */
  private readonly sources: { readonly source: string; readonly last: number }[] = [];
  private marks = 0;
  private reached = 0;
  private isNew = false;

  /** Before the code is loaded. `folders`: URLs; code elsewhere does not count. */
  constructor(folders: readonly string[]) {
    const reach = (mark: number) => {
      this.seen[mark] = 1;
      this.reached += 1;
      this.isNew = true;
    };
    Object.assign(globalThis, { fuzzSeen: this.seen, fuzzReach: reach });
    registerHooks({
      load: (url, context, next) => {
        if (!url.endsWith('.ts') || !folders.some((each) => url.startsWith(each))) return next(url, context);
        const source = stripTypeScriptTypes(readFileSync(fileURLToPath(url), 'utf8'));
        const marked = this.marked(source);
        this.sources.push({ source, last: this.marks });
        return { format: 'module', shortCircuit: true, source: marked };
      },
    });
  }

  /** Before another target: nothing has run. */
  begin(): void {
    this.seen.fill(0);
    this.reached = 0;
    this.isNew = false;
  }

  /** Functions and branches that ran. */
  get count(): number {
    return this.reached;
  }

  /** Whether code has run since the last call that had not run before. */
  hasNew(): boolean {
    const { isNew } = this;
    this.isNew = false;
    return isNew;
  }

  /** Texts and numbers that stand in the sources that ran. */
  words(): Set<string> {
    const words = new Set<string>();
    let first = 1;
    for (const { source, last } of this.sources) {
      const ran = this.seen.subarray(first, last + 1).includes(1);
      first = last + 1;
      if (!ran) continue;
      const literals = source.matchAll(/'([^'\\\n]{1,40})'|\b(0x[\da-f_]+|\d[\d_]*)\b/gi);
      for (const [, text, number = ''] of literals) words.add(text ?? String(Number(number.replaceAll('_', ''))));
    }
    return words;
  }

  private marked(source: string): string {
    const inserts: [at: number, text: string][] = [];
    const mark = () => {
      this.marks += 1;
      return `fuzzSeen[${this.marks}]||fuzzReach(${this.marks})`;
    };
    const wrap = ({ start, end }: SyntaxNode, [open, close]: readonly [string, string]) =>
      inserts.push([start, open], [end, close]);
    const statement = (node: SyntaxNode | null | undefined) => {
      if (node?.type === 'BlockStatement') inserts.push([node.start + 1, `${mark()};`]);
      else if (node) wrap(node, [`{${mark()};`, '}']);
    };
    const expression = (node: SyntaxNode) => wrap(node, [`(${mark()},`, ')']);
    visit(parseAst(source) as unknown as SyntaxNode, (node) => {
      const child = (name: string) => node[name] as SyntaxNode;
      if (/Function/.test(node.type) && child('body')) {
        if (child('body').type === 'BlockStatement') statement(child('body'));
        else expression(child('body'));
      } else if (node.type === 'IfStatement') {
        statement(child('consequent'));
        statement(child('alternate'));
      } else if (/^(For|While|DoWhile)/.test(node.type)) statement(child('body'));
      else if (node.type === 'CatchClause') statement(child('body'));
      else if (node.type === 'ConditionalExpression') {
        expression(child('consequent'));
        expression(child('alternate'));
      } else if (node.type === 'LogicalExpression' || node.type === 'AssignmentPattern') expression(child('right'));
      else if (node.type === 'SwitchCase') {
        const [first] = node.consequent as SyntaxNode[];
        if (first !== undefined) inserts.push([first.start, `${mark()};`]);
      }
    });
    // The order of visits puts what encloses first at a start, and last at an end.
    const order = inserts.map(([at, text], i) => ({ at, text, rank: text === ')' || text === '}' ? -i : i }));
    order.sort((a, b) => a.at - b.at || a.rank - b.rank);
    let at = 0;
    const parts = order.map((each) => {
      const before = source.slice(at, each.at);
      at = each.at;
      return before + each.text;
    });
    return parts.join('') + source.slice(at);
  }
}

function visit(node: SyntaxNode, see: (node: SyntaxNode) => void): void {
  see(node);
  for (const value of Object.values(node))
    for (const each of Array.isArray(value) ? value : [value])
      if (typeof each === 'object' && each !== null && typeof each.type === 'string') visit(each, see);
}
