// Asks for the admin key. It stays in this tab: in session storage, never in an address.
import { useState } from 'preact/hooks';
import { adminKey, setAdminKey } from '../data/api.ts';

export function KeyForm() {
  const [text, setText] = useState('');
  if (adminKey.value !== '')
    return (
      <p class="key">
        The admin key is set for this tab.{' '}
        <button type="button" onClick={() => setAdminKey('')}>
          Forget the key
        </button>
      </p>
    );
  const submit = (event: Event) => {
    event.preventDefault();
    setAdminKey(text.trim());
    setText('');
  };
  return (
    <form class="key" onSubmit={submit}>
      <label>
        <span>Admin key</span>
        <input
          type="password"
          name="admin-key"
          autocomplete="off"
          required
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </label>
      <button type="submit">Use the key</button>
      <p class="hint">
        It is in <code>admin.key</code> in the data folder of the server, unless <code>grpc_admin_api_key</code> sets
        it. The page keeps it until this tab is closed.
      </p>
    </form>
  );
}
