// Prints, as JSON, what the AWS SDK for JavaScript finds on an instance; for what it doesn't find, why not.
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { MetadataService } from "@aws-sdk/ec2-metadata-service";

// Instead of the SDK's second, or none at all: machines that run tests are slow at times.
const timeout = 2000;
// Unlike the provider of credentials, it knows no modes.
const endpoint = process.env.AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE === "IPv6" ? "http://[fd00:ec2::254]" : undefined;
const service = new MetadataService({ endpoint, httpOptions: { timeout }, retries: 0 });

const found = async (answer) => {
  try {
    return await answer;
  } catch (error) {
    return `failed: ${error.$metadata?.httpStatusCode ?? error.statusCode ?? error.message}`;
  }
};

const credentials = async () => {
  const { accessKeyId, secretAccessKey, sessionToken } = await defaultProvider({ timeout, maxRetries: 0 })();
  return [accessKeyId, secretAccessKey, sessionToken].join(" ");
};

const all = {
  "instance-id": service.request("/latest/meta-data/instance-id", {}),
  region: service.request("/latest/meta-data/placement/region", {}),
  credentials: credentials(),
  "user-data": service.request("/latest/user-data", {}),
};
const entries = Object.entries(all).map(async ([name, answer]) => [name, await found(answer)]);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(entries))));
