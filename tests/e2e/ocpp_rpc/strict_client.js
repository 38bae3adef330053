// A strict client: every answer is held against the schemas that ocpp-rpc brings along.
import { RPCClient } from 'ocpp-rpc';

// Connect to `<endpoint> <identity>` of the command line, run `charge(call)`, print the protocol,
// what was wrong with the answers, and the answers by action, as JSON.
export async function session(protocol, charge) {
    const [endpoint, identity] = process.argv.slice(2);
    const client = new RPCClient({
        endpoint,
        identity,
        protocols: [protocol],
        strictMode: true,
        reconnect: false,
        callTimeoutMs: 60_000,
    });
    const complaints = [];
    client.on('strictValidationFailure', ({ error }) => complaints.push(`schema: ${error.message}`));
    client.on('badMessage', ({ error }) => complaints.push(`message: ${error.message}`));
    const answers = {};
    await client.connect();
    await charge(async (action, payload) => {
        answers[action] = await client.call(action, payload);
        return answers[action];
    });
    await client.close();
    console.log(JSON.stringify({ protocol: client.protocol, complaints, answers }));
}
