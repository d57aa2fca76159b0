// Servers newer than this Debian has, for legs of CI: packages of the next release, unpacked beside the system and not into it.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { findExecutable } from './processes.mjs';
import { CACHE } from './npm-tool.mjs';

const RELEASE = 'trixie';
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * A server of Debian's next release, with the libraries it needs. It is fetched once, from where apt gets its packages.
 * @param {'redis' | 'valkey'} name
 * @returns {string} a program that the tests take for REDIS_SERVER
 * @throws where it cannot be had, and says why
 */
export function debianServer(name) {
  const home = join(CACHE, `${RELEASE}-${name}`);
  const program = join(home, `${name}-server`);
  if (existsSync(program)) return program;
  mkdirSync(CACHE, { recursive: true });
  const workshop = mkdtempSync(join(CACHE, 'debian-'));
  try {
    const root = join(workshop, 'root');
    for (const archive of download(`${name}-tools`, workshop)) execute('dpkg', '-x', archive, root);
    const lib = join(root, 'usr', 'lib');
    const folder = readdirSync(lib).find((each) => each.endsWith('-linux-gnu')) ?? '';
    const loader = readdirSync(join(lib, folder)).find((each) => each.startsWith('ld-linux')) ?? '';
    // The C library of this system is too old for them: their own loads them. The program is one with the check of a dump.
    const libraries = join(home, 'root', 'usr', 'lib', folder);
    const binary = join(home, 'root', 'usr', 'bin', `${name}-check-rdb`);
    const command = `exec '${join(libraries, loader)}' --library-path '${libraries}' --argv0 ${name}-server '${binary}' "$@"`;
    writeFileSync(join(workshop, `${name}-server`), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
    rmSync(home, { recursive: true, force: true });
    renameSync(workshop, home);
  } finally {
    rmSync(workshop, { recursive: true, force: true });
  }
  execute(program, '--version');
  return program;
}

/**
 * @param {string} name
 * @param {string} workshop an empty folder
 * @returns {string[]} the archives of the package and of all that it depends on
 */
function download(name, workshop) {
  const system = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(system)?.[1];
  if (!/^ID=debian$/m.test(system) || codename === undefined || findExecutable('apt-get') === undefined) {
    throw new Error('this is no Debian');
  }
  // A world of its own for apt: one source, and nothing installed, so that no library is left out.
  const [state, cache] = [join(workshop, 'state'), join(workshop, 'cache')];
  for (const dir of [state, join(cache, 'archives', 'partial')]) mkdirSync(dir, { recursive: true });
  writeFileSync(join(workshop, 'status'), '');
  writeFileSync(join(workshop, 'sources.list'), `deb [signed-by=${KEYS}] ${mirrorOf(codename)} ${RELEASE} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': join(workshop, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State': state,
    'Dir::State::status': join(workshop, 'status'),
    'Dir::Cache': cache,
    'APT::Sandbox::User': 'root',
  };
  const options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  execute('apt-get', ...options, '-qq', 'update');
  execute('apt-get', ...options, '-qq', '-y', '--no-install-recommends', '--download-only', 'install', name);
  const archives = join(cache, 'archives');
  return readdirSync(archives).flatMap((file) => (file.endsWith('.deb') ? [join(archives, file)] : []));
}

/**
 * Where apt gets the packages of this release: the next one lies beside it.
 * @param {string} codename
 */
function mirrorOf(codename) {
  const targets = execute('apt-get', 'indextargets', '--format', '$(REPO_URI)|$(RELEASE)|$(COMPONENT)');
  const [mirror] = targets.split('\n').flatMap((target) => {
    const [uri = '', release, component] = target.split('|');
    return release === codename && component === 'main' ? [uri] : [];
  });
  if (mirror === undefined) throw new Error(`apt has no source of ${codename}`);
  return mirror;
}

/**
 * @param {string} command
 * @param {string[]} args
 */
function execute(command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.at(-1)}: ${stderr.trim()}`);
  return stdout;
}
