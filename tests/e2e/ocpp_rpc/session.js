// One OCPP 1.6 charging session by a strict client: every answer is held against the schemas that
// ocpp-rpc brings along. Usage: node session.js <endpoint> <identity>; prints the answers as JSON.
import { RPCClient } from 'ocpp-rpc';

const [endpoint, identity] = process.argv.slice(2);
const client = new RPCClient({
    endpoint,
    identity,
    protocols: ['ocpp1.6'],
    strictMode: true,
    reconnect: false,
    callTimeoutMs: 20_000,
});

const complaints = [];
client.on('strictValidationFailure', ({ error }) => complaints.push(`schema: ${error.message}`));
client.on('badMessage', ({ error }) => complaints.push(`message: ${error.message}`));

const answers = {};
const call = async (action, payload) => {
    answers[action] = await client.call(action, payload);
    return answers[action];
};

await client.connect();
await call('BootNotification', { chargePointVendor: 'ocpp-rpc', chargePointModel: 'strict' });
const status = { connectorId: 1, errorCode: 'NoError' };
await call('StatusNotification', { ...status, status: 'Available' });
await call('Heartbeat', {});
await call('Authorize', { idTag: 'user123' });
const { transactionId } = await call('StartTransaction', {
    connectorId: 1,
    idTag: 'user123',
    meterStart: 1000,
    timestamp: '2023-12-07T10:15:30Z',
});
await call('StatusNotification', { ...status, status: 'Charging' });
await call('MeterValues', {
    connectorId: 1,
    transactionId,
    meterValue: [
        {
            timestamp: '2023-12-07T10:30:30Z',
            sampledValue: [
                { value: '12500', measurand: 'Energy.Active.Import.Register', unit: 'Wh', context: 'Sample.Periodic' },
                { value: '7200', measurand: 'Power.Active.Import', unit: 'W', context: 'Sample.Periodic' },
            ],
        },
    ],
});
await call('StopTransaction', {
    transactionId,
    idTag: 'user123',
    meterStop: 25000,
    timestamp: '2023-12-07T11:45:30Z',
    reason: 'Local',
});
await client.close();
console.log(JSON.stringify({ protocol: client.protocol, complaints, answers }));
