// The settings that a capture keeps.
import { expect, test } from 'vitest';
import { CHANGEABLE_SETTINGS, decidingTexts, settingsOfTexts } from '../../../src/settings/deciding.ts';
import { ROWS } from '../../../src/settings/schema.ts';
import { loadText, MINIMAL_SETTINGS } from '../../support/settings.ts';

const SOME = `
p2p_ban_duration = 1h30m
p2p_seen_hash_ttl = 250s
p2p_ban_whitelist = static | 12D3KooWR4CpzFiQdPjvmUe7EZABAQp3ysJvvHbNoBiqYL1tH1cQ
p2p_policy_shadow_rules = replay | author_mismatch
p2p_bootstrap_peers = /dnsaddr/example.org
p2p_allow_private_ips = false
subtreevalidation_blacklisted_baseurls = http://user:word@evil.example
p2p_private_key = ${'ab'.repeat(64)}
p2p_shared_key = ${'cd'.repeat(32)}
grpc_admin_api_key = a-key-of-this-test-only-42
`;

test('settings that decide come back from their texts as they were', () => {
  for (const text of [
    MINIMAL_SETTINGS,
    MINIMAL_SETTINGS + SOME.replace(/user:word@/, '').replace(/p2p_private_key.*/, ''),
  ]) {
    const { settings } = loadText(text);
    const texts = decidingTexts(settings);
    const again = settingsOfTexts(texts);
    for (const key of Object.keys(texts) as (keyof typeof settings)[]) expect(again[key], key).toEqual(settings[key]);
    expect(settingsOfTexts(JSON.parse(JSON.stringify(texts)))).toEqual(again);
  }
});

test('no secret is kept, nor a password in a URL', () => {
  const secrets = ROWS.filter(([, row]) => row.isSecret).map(([key]) => key);
  const { settings } = loadText(MINIMAL_SETTINGS);
  const texts = decidingTexts({
    ...settings,
    p2p_shared_key: 'cd'.repeat(32),
    subtreevalidation_blacklisted_baseurls: ['http://bad.example', 'http://user:word@evil.example'],
    p2p_report_own_reasons: ['see http://user:word@log.example'],
  });
  expect(texts.subtreevalidation_blacklisted_baseurls).toContain('http://bad.example');
  expect(secrets.length).toBeGreaterThan(2);
  for (const key of secrets) {
    expect(texts).not.toHaveProperty(key);
    expect(CHANGEABLE_SETTINGS.has(key)).toBe(false);
  }
  expect(JSON.stringify(texts)).not.toContain('word');
  expect(JSON.stringify(texts)).not.toContain('cdcd');
});

test('an invalid text is refused with its key', () => {
  expect(() => settingsOfTexts({ p2p_author_rate: '-1' })).toThrow(/invalid p2p_author_rate "-1" \(expected integer/);
});
