import { AsyncLocalStorage } from 'node:async_hooks';
import { hostname, networkInterfaces } from 'node:os';
import type { CallToolResult, McpServer, ServerContext, ToolCallback } from '@modelcontextprotocol/server';
import type { z } from 'zod';
import { isAbort, optionalPackage, packageVersion } from '../../system/index.ts';
import type { QueryExpansion } from '../expander-options.ts';
import { asRequestError, reportFault } from '../request-error.ts';
import type { Service } from '../service.ts';
import { TOOLS, type Tool, type ToolCall } from './tools.ts';

const PACKAGE = '@modelcontextprotocol/server';

/** What answers the calls of one connection or request. */
interface Behind {
  service(): Promise<Service>;
  observe?: ToolCall['observe'];
  /** Receives errors that are not the client's. */
  onError?: ((error: unknown) => void) | undefined;
  /** Fires when the client has left. */
  left?: AbortSignal;
}

/** What an HTTP request to the endpoint brings along. */
export interface McpRequest {
  service: Service;
  observe(query: string, expansion: QueryExpansion): void;
  /** Receives errors that are not the client's. */
  onError?: ((error: unknown) => void) | undefined;
}

export interface McpEndpointOptions {
  /** Address that the server listens on. */
  host: string;
  /** Whether a key is asked for: then pages of other hosts cannot do harm, because they do not know it. */
  hasKey: boolean;
  /** Origins whose pages may call; `*`: all. */
  origins: readonly string[];
}

/** The MCP face over streamable HTTP. */
export interface McpEndpoint {
  fetch(request: Request, how: McpRequest): Promise<Response>;
  close(): Promise<void>;
}

/**
 * Opens the MCP face over streamable HTTP, without sessions, for clients of the 2025 and the 2026 revisions. A page of another site
 * cannot reach it by a name that leads to this machine (DNS rebinding): `Host` and `Origin` are checked.
 * @throws ResourceError if the SDK is not installed
 */
export async function openMcpEndpoint({ host, hasKey, origins }: McpEndpointOptions): Promise<McpEndpoint> {
  const sdk = await loadSdk();
  // The SDK hands on a copy of the request to some of its branches.
  const requests = new AsyncLocalStorage<McpRequest & { left: AbortSignal }>();
  const handler = sdk.createMcpHandler(() => {
    const { service, ...behind } = requests.getStore()!;
    return createServer(sdk.McpServer, { ...behind, service: () => Promise.resolve(service) });
  });
  const hosts = [...sdk.localhostAllowedHostnames(), ...hostsOf(host)];
  const pages = [
    ...sdk.localhostAllowedOrigins(),
    ...hosts,
    ...origins.filter(isUrl).map((one) => new URL(one).hostname),
  ];
  const refuse = (request: Request) =>
    (hasKey ? undefined : sdk.hostHeaderValidationResponse(request, hosts)) ??
    (origins.includes('*') ? undefined : sdk.originValidationResponse(request, pages));
  return {
    fetch: (request, how) => {
      const refused = refuse(request);
      if (refused !== undefined) return Promise.resolve(refused);
      return requests.run({ ...how, left: request.signal }, () => handler.fetch(request));
    },
    close: () => handler.close(),
  };
}

/**
 * Answers over stdin and stdout until the client leaves or the signal fires.
 * @param service may still be opening: calls wait for it
 * @param onError receives errors that are not the client's
 * @throws ResourceError if the SDK is not installed
 */
export async function serveMcpOverStdio(
  service: () => Promise<Service>,
  signal: AbortSignal,
  onError?: (error: unknown) => void,
): Promise<void> {
  const sdk = await loadSdk();
  const { serveStdio, StdioServerTransport } = await import('@modelcontextprotocol/server/stdio');
  const transport = new StdioServerTransport();
  const handle = serveStdio(() => createServer(sdk.McpServer, { service, onError }), {
    transport,
    // Such as a message that is too long, after which the SDK hangs up.
    onerror: (error) => reportFault(error, onError),
  });
  await new Promise<void>((resolve) => {
    process.stdin.once('end', resolve).once('close', resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  await handle.close();
}

function loadSdk() {
  return optionalPackage(() => import('@modelcontextprotocol/server'), PACKAGE, 'the MCP face');
}

function createServer(Server: typeof McpServer, behind: Behind): McpServer {
  const server = new Server({ name: 'llm-qe', title: 'LLM-QE', version: packageVersion() });
  addTool(server, 'search', TOOLS.search, behind);
  addTool(server, 'expand', TOOLS.expand, behind);
  addTool(server, 'compare', TOOLS.compare, behind);
  return server;
}

function addTool<Input extends z.ZodObject, Output extends z.ZodObject>(
  server: McpServer,
  name: string,
  { title, description, input, output, run }: Tool<Input, Output>,
  { service, observe, onError, left }: Behind,
): void {
  // Nothing is changed, and the same call may give another text.
  const annotations = { title, readOnlyHint: true, destructiveHint: false, openWorldHint: false };
  const settings = { title, description, inputSchema: input, outputSchema: output, annotations };
  const call = async (given: unknown, { mcpReq }: ServerContext) => {
    const signal = left === undefined ? mcpReq.signal : AbortSignal.any([mcpReq.signal, left]);
    const ready = { service: await service(), signal, observe };
    return answer(() => run(given as z.output<Input>, ready), onError);
  };
  server.registerTool(name, settings, call as ToolCallback<Input>);
}

/** An error goes to the model, which can then do better. */
async function answer(
  work: () => Promise<Record<string, unknown>>,
  onError: Behind['onError'],
): Promise<CallToolResult> {
  try {
    const structuredContent = await work();
    return { structuredContent, content: [{ type: 'text', text: JSON.stringify(structuredContent) }] };
  } catch (error) {
    if (isAbort(error)) throw error;
    reportFault(error, onError);
    const { message, fix } = asRequestError(error as Error);
    return { isError: true, content: [{ type: 'text', text: `${message}. ${fix}` }] };
  }
}

/** Names under which a server that listens on an address is known to be meant. */
function hostsOf(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [host.includes(':') ? `[${host}]` : host];
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  return [hostname(), ...addresses.map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address))];
}

function isUrl(text: string): boolean {
  return URL.canParse(text);
}
