// Everything that can be done to a development network: forms that post to its control API.
import type { ComponentChildren } from 'preact';
import { order, result } from '../data/devnet.ts';
import type { DevnetState } from '../model/api-types.ts';
import { cutLinks } from '../model/devnet.ts';

export function Switches({ state }: { readonly state: DevnetState }) {
  const { nodes, links, liars, maxLiars } = state;
  const numbers = nodes.map(({ node }) => node);
  return (
    <div class="switches">
      <Switch
        title="Mine now"
        buttons={['Mine']}
        onSubmit={({ node, blocks }) =>
          order(`Node ${node} mines ${blocks === '1' ? 'a block' : `${blocks} blocks`}.`, [
            'mine',
            { node: Number(node), blocks: Number(blocks) },
          ])
        }
      >
        <NodeChoice label="Miner" name="node" numbers={numbers} />
        <label>
          <span>Blocks</span>
          <input name="blocks" type="number" min="1" max="100" defaultValue="1" required />
        </label>
      </Switch>
      <Switch
        title="A link"
        buttons={['Cut', 'Restore']}
        onSubmit={({ link = '', button }) => {
          const [a, b] = link.split('-');
          const next = button === 'Cut' ? 'cut' : 'restored';
          return order(`The link between nodes ${a} and ${b} is ${next}.`, [`links/${a}/${b}`, { state: next }]);
        }}
      >
        <label>
          <span>Link</span>
          <select name="link">
            {links.map(({ a, b, state: is }) => (
              <option key={`${a}-${b}`} value={`${a}-${b}`}>
                {`nodes ${a} and ${b}${is === 'cut' ? ', cut' : ''}`}
              </option>
            ))}
          </select>
        </label>
      </Switch>
      <Switch title="Part the network" buttons={['Part', 'Join all']} onSubmit={(values) => part(values, state)}>
        <fieldset>
          <legend>Nodes of one part</legend>
          {numbers.map((node) => (
            <label key={node}>
              <input type="checkbox" name={`part ${node}`} />
              <span>{node}</span>
            </label>
          ))}
        </fieldset>
        <p class="hint">Links that are cut: {links.filter(({ state: is }) => is === 'cut').length}.</p>
      </Switch>
      <Switch
        title="Slow a node"
        buttons={['Set the delay']}
        onSubmit={({ node, slowMs }) =>
          order(slowMs === '0' ? `Node ${node} is no longer delayed.` : `Node ${node} is delayed by ${slowMs} ms.`, [
            `nodes/${node}`,
            { slowMs: Number(slowMs) },
          ])
        }
      >
        <NodeChoice label="Slow node" name="node" numbers={numbers} />
        <label>
          <span>Delay in ms, 0 for none</span>
          <input name="slowMs" type="number" min="0" max="60000" defaultValue="500" required />
        </label>
      </Switch>
      <Switch
        title="Ban"
        buttons={['Ban', 'Lift the ban']}
        onSubmit={({ node, subject, button }) => {
          const isBan = button === 'Ban';
          const name = liars.find(({ peerId }) => peerId === subject);
          const who = name === undefined ? `node ${subject}` : `liar ${name.liar}`;
          return order(`Node ${node} ${isBan ? 'bans' : 'no longer bans'} ${who}.`, [
            'bans',
            { node: Number(node), subject, state: isBan ? 'banned' : 'lifted' },
          ]);
        }}
      >
        <NodeChoice label="Node that bans" name="node" numbers={numbers} />
        <label>
          <span>Whom</span>
          <select name="subject">
            {numbers.toReversed().map((node) => (
              <option key={node} value={String(node)}>
                node {node}
              </option>
            ))}
            {liars.map(({ liar, peerId }) => (
              <option key={peerId} value={peerId}>
                liar {liar}
              </option>
            ))}
          </select>
        </label>
      </Switch>
      <Switch
        title="Stop and start a node"
        buttons={['Stop', 'Start']}
        onSubmit={({ node, button }) => {
          const next = button === 'Stop' ? 'stopped' : 'running';
          return order(`Node ${node} is ${button === 'Stop' ? 'stopped' : 'starting'}.`, [
            `nodes/${node}`,
            { state: next },
          ]);
        }}
      >
        <NodeChoice label="Node to stop or start" name="node" numbers={numbers} />
      </Switch>
      <Switch
        title="Add a liar"
        buttons={['Add a liar']}
        onSubmit={() => order('A liar announces invalid blocks to all nodes, until they ban it.', ['liars', {}])}
      >
        <p class="hint">
          A peer that announces invalid blocks. {liars.length} of {maxLiars} were added.
        </p>
      </Switch>
    </div>
  );
}

/** Cuts all links between the chosen nodes and the others, or restores all that are cut. */
async function part(values: Values, state: DevnetState): Promise<void> {
  if (values.button === 'Join all') {
    const requests = cutLinks(state).map(({ a, bs }) => [`links/${a}/${bs}`, { state: 'restored' }] as const);
    return await order('All links are restored.', ...requests);
  }
  const numbers = state.nodes.map(({ node }) => node);
  const some = numbers.filter((node) => values[`part ${node}`] !== undefined);
  const others = numbers.filter((node) => !some.includes(node));
  if (some.length === 0 || others.length === 0) {
    result.value = 'Choose the nodes of one part: at least one, and not all.';
    return;
  }
  await order(`Nodes ${some} are parted from nodes ${others}.`, [`links/${some}/${others}`, { state: 'cut' }]);
}

/** Of the fields by their names, and which button was pressed. */
type Values = Readonly<Record<string, string>>;

interface SwitchProps {
  readonly title: string;
  readonly buttons: readonly string[];
  readonly children: ComponentChildren;
  readonly onSubmit: (values: Values) => Promise<void>;
}

function Switch({ title, buttons, children, onSubmit }: SwitchProps) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    const values = Object.fromEntries([...fields].map(([name, value]) => [name, String(value)]));
    void onSubmit({ ...values, button: event.submitter?.textContent ?? buttons[0] ?? '' });
  };
  return (
    <form aria-label={title} onSubmit={submit}>
      <h3>{title}</h3>
      {children}
      <p class="buttons">
        {buttons.map((text) => (
          <button key={text} type="submit">
            {text}
          </button>
        ))}
      </p>
    </form>
  );
}

interface NodeChoiceProps {
  readonly label: string;
  readonly name: string;
  readonly numbers: readonly number[];
}

function NodeChoice({ label, name, numbers }: NodeChoiceProps) {
  return (
    <label>
      <span>{label}</span>
      <select name={name}>
        {numbers.map((node) => (
          <option key={node} value={String(node)}>
            node {node}
          </option>
        ))}
      </select>
    </label>
  );
}
