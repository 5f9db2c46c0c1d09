import { DiskImageError } from '../disk/errors.js';
import { quote } from '../inspect/bytes.js';
import { type Inspection, type InspectOptions, inspectFile, parseClaim } from '../inspect/index.js';
import type { CliContext } from './context.js';
import { CliError } from './errors.js';
import { isOpenFailure, openError } from './messages.js';
import { type OutputFormat, outputFormat, print, reportWarning } from './output.js';
import { sizeArgument, sizeText } from './sizes.js';
import { longOptions, usageError, VerbOptions } from './verbOptions.js';

const SAFE = 0;
const UNSAFE = 1;
/** Misuse too: 1 would pass for a verdict. */
const UNREADABLE = 2;

const spec = {
  short: 'hf:',
  long: longOptions([
    ['format', 'f', 'required'],
    ['output', 'o', 'required'],
    ['size', 's', 'required'],
    ['strict', 'S'],
  ]),
};

interface Request {
  path: string;
  claimed?: string;
  output: OutputFormat;
  maxVirtualSize?: number;
  strict: boolean;
}

function parse(args: string[], ctx: CliContext): Request {
  const request: Request = { path: '', output: 'human', strict: false };
  const options = new VerbOptions(ctx, 'inspect', args, spec);
  for (const { value, argument } of options) {
    if (value === 'f') request.claimed = parseClaim(argument);
    else if (value === 'o') request.output = outputFormat(argument);
    else if (value === 'S') request.strict = true;
    else {
      const bytes = sizeArgument('image size', argument, (message) => reportWarning(ctx, message));
      request.maxVirtualSize = Number(bytes);
    }
  }
  const { operands } = options;
  if (operands.length !== 1) throw usageError(ctx, 'Expecting one image file name');
  request.path = operands[0];
  return request;
}

/** Keys in a fixed order; sizes and offsets in bytes; names that the image stores are untrusted text. */
function jsonText(path: string, verdict: Inspection): string {
  const { safe, claimed, detected, reason, formats, violations, warnings } = verdict;
  const fields = {
    filename: path,
    safe,
    claimed,
    detected,
    reason,
    formats,
    'file-size': verdict.fileSize,
    'virtual-size': verdict.virtualSize,
    'backing-filename': verdict.backing,
    'data-file': verdict.dataFile,
    encryption: verdict.encryption,
    violations,
    warnings,
  };
  return `${JSON.stringify(fields, null, 4)}\n`;
}

function humanText(path: string, verdict: Inspection): string {
  const lines = [`${path}: ${verdict.safe ? 'safe' : 'unsafe'}`];
  if (verdict.claimed !== undefined) lines.push(`claimed format: ${verdict.claimed}`);
  lines.push(`detected format: ${verdict.detected ?? 'none'} (${verdict.reason})`);
  if (verdict.virtualSize !== undefined) {
    lines.push(`virtual size: ${sizeText(verdict.virtualSize)} (${verdict.virtualSize} bytes)`);
  }
  if (verdict.backing !== undefined) lines.push(`backing file: ${quote(verdict.backing)}`);
  if (verdict.dataFile !== undefined) lines.push(`data file: ${quote(verdict.dataFile)}`);
  if (verdict.encryption !== undefined) lines.push(`encrypted: ${verdict.encryption}`);
  if (verdict.violations.length > 0) lines.push('violations:');
  for (const { code, message } of verdict.violations) lines.push(`    ${code}: ${message}`);
  if (verdict.warnings.length > 0) lines.push('warnings:');
  for (const warning of verdict.warnings) lines.push(`    ${warning}`);
  return `${lines.join('\n')}\n`;
}

async function read(path: string, options: InspectOptions): Promise<Inspection> {
  try {
    return await inspectFile(path, options);
  } catch (error) {
    if (error instanceof DiskImageError && isOpenFailure(error)) throw openError(path, path, error);
    throw error;
  }
}

async function judge(args: string[], ctx: CliContext): Promise<number> {
  const { path, output, ...options } = parse(args, ctx);
  const verdict = await read(path, options);
  print(ctx, output === 'json' ? jsonText(path, verdict) : humanText(path, verdict));
  return verdict.safe ? SAFE : UNSAFE;
}

/**
 * `basecow inspect [-f FMT] [--output human|json] [--size SIZE] [--strict] FILE`: is this image safe to use?
 * Exit code 0 safe, 1 unsafe, 2 when there is no verdict (file unreadable, words misused).
 */
export async function run(args: string[], ctx: CliContext): Promise<number> {
  try {
    return await judge(args, ctx);
  } catch (error) {
    if (error instanceof DiskImageError && error.code !== 'CANCELLED') {
      throw new CliError(error.message, { exitCode: UNREADABLE, cause: error });
    }
    if (error instanceof CliError) {
      throw new CliError(error.lines, { hint: error.hint, exitCode: UNREADABLE, cause: error });
    }
    throw error;
  }
}
