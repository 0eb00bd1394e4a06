// Light or dark: that of the system, until somebody chooses. The choice is kept in this browser.
import { signal } from '@preact/signals';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const ITEM = 'teranode-p2p theme';
const kept = localStorage.getItem(ITEM);
const dark = matchMedia('(prefers-color-scheme: dark)');

export const theme = signal<Theme>(kept === 'light' || kept === 'dark' ? kept : 'system');
/** What is drawn on canvas follows this. */
export const isDark = signal(false);

/** Of the theme in force; there are as many as the page names. */
const colours = new Map<string, string>();

export function setTheme(next: Theme): void {
  theme.value = next;
  if (next === 'system') localStorage.removeItem(ITEM);
  else localStorage.setItem(ITEM, next);
  applyTheme();
}

export function applyTheme(): void {
  const chosen = theme.value === 'system' ? (dark.matches ? 'dark' : 'light') : theme.value;
  document.documentElement.dataset.theme = chosen;
  colours.clear();
  isDark.value = chosen === 'dark';
}

dark.addEventListener('change', applyTheme);
applyTheme();

/** A colour of the style sheet, for canvas. */
export function colour(name: string): string {
  const value = colours.get(name) ?? getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  colours.set(name, value);
  return value;
}
