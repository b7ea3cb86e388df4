// Tells the viewer which colour answered, under which generation of the routes: the deployer waits until it sees its own.
// CloudFront does not run this for answers of 400 and more, so these carry neither header.

function handler(event) {
    const sent = event.request.headers;
    const response = event.response;

    response.headers['x-bg-color'] = { value: sent['x-bg-color'].value };
    response.headers['x-bg-generation'] = { value: sent['x-bg-generation'].value };
    if (sent['x-bg-pin']) {
        response.cookies['bg_track'] = {
            value: sent['x-bg-pin'].value,
            attributes: 'Path=/; Secure; HttpOnly; SameSite=Lax'
        };
    }
    return response;
}
