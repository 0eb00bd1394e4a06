// Numbers for texts that many entries of a table share: the text is kept once, until no entry needs it.

export class Interned {
  private readonly numbers = new Map<string, number>();
  private readonly texts: (string | undefined)[] = [];
  private readonly uses: number[] = [];
  private readonly free: number[] = [];

  /** Texts kept now. */
  get size(): number {
    return this.numbers.size;
  }

  /** The number of a text, which is kept until it is released as often as it was taken. */
  take(text: string): number {
    let number = this.numbers.get(text);
    if (number === undefined) {
      number = this.free.pop() ?? this.texts.length;
      this.numbers.set(text, number);
      this.texts[number] = text;
      this.uses[number] = 0;
    }
    this.uses[number] = (this.uses[number] as number) + 1;
    return number;
  }

  /** -1 for a text that is not kept. */
  find(text: string): number {
    return this.numbers.get(text) ?? -1;
  }

  /** The text of a number that was taken. */
  text(number: number): string {
    return this.texts[number] as string;
  }

  release(number: number): void {
    const uses = (this.uses[number] as number) - 1;
    this.uses[number] = uses;
    if (uses > 0) return;
    this.numbers.delete(this.texts[number] as string);
    this.texts[number] = undefined;
    this.free.push(number);
  }
}
