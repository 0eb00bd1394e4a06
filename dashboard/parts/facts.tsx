// Names with their values.
import type { ComponentChildren } from 'preact';

export function Facts({ facts }: { readonly facts: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function PeerLink({ id, text }: { readonly id: string; readonly text: string }) {
  return (
    <a href={`#/peers/${encodeURIComponent(id)}`} title={id}>
      {text}
    </a>
  );
}
