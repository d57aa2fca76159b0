/** For an entry point that runs code of its peers, once it has tried to load them. @throws Error that says what to install */
export function assertInstalled(isInstalled: boolean, entry: string, ...peers: string[]): void {
  if (isInstalled) return;
  const [needed, command] = [peers.join(' and '), `npm install ${peers.join(' ')}`];
  throw new Error(`nestjs-redis-cache-store/${entry} needs ${needed}; run: ${command}`);
}
