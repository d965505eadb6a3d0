import { GREETING } from './greeting.js';

export { GREETING };

/** Where this runs, by what a preview tells its app. */
export function whereabouts(env: Record<string, string | undefined>): string {
  const { PREVIEW_PR_NUMBER: number, PREVIEW_COMMIT_SHA: commit } = env;
  return number ? `pull request #${number} at ${commit?.slice(0, 7)}` : 'not in a preview';
}
