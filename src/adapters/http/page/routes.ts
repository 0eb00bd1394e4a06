// The dashboard at /: static files without secrets. What they show they read from the API, under its rules.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HttpProblem } from '../server/http-problem.ts';
import { FOREVER, fileAnswer, type PageFile, readPage } from './page-files.ts';

/** The files are read for the first request, so that a start does not wait for them, and kept: about 200 kB. */
export function addPageRoutes(app: FastifyInstance, folders: readonly string[]): void {
  let files: ReturnType<typeof readPage> | undefined;
  const find = async (name: string): Promise<PageFile> => {
    files ??= readPage(folders);
    const found = await files.catch((error: unknown) => {
      files = undefined;
      throw error;
    });
    if (found === undefined) throw new HttpProblem(404, 'NOT_FOUND', NOT_BUILT);
    const file = found.get(name);
    if (file === undefined) throw new HttpProblem(404, 'NOT_FOUND', 'the dashboard has no such file');
    return file;
  };
  app.get('/', async (request, reply) => send(request, reply, await find('index.html'), 'no-cache'));
  app.get<{ Params: { name: string } }>('/assets/:name', async (request, reply) =>
    send(request, reply, await find(`assets/${request.params.name}`), FOREVER),
  );
}

const NOT_BUILT = 'the dashboard is not built: npm start and npm run build do so';

function send({ headers }: FastifyRequest, reply: FastifyReply, file: PageFile, cacheControl: string): FastifyReply {
  const answer = fileAnswer(file, headers['accept-encoding'], cacheControl);
  return reply.headers(answer.headers).send(answer.body);
}
