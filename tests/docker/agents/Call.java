// SPDX-License-Identifier: Apache-2.0
// An agent with Java's own client: `java Call N` makes N calls and prints a status a line.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Call {
	private static final String BODY = "{\"model\": \"gpt-4o\", \"max_tokens\": 50, \"messages\": [{\"role\": \"user\", \"content\": \"mock:tokens=4\"}]}";

	public static void main(String[] arguments) throws Exception {
		HttpClient client = HttpClient.newHttpClient();
		HttpRequest request = HttpRequest.newBuilder(URI.create("https://api.openai.com/v1/chat/completions"))
			.header("content-type", "application/json").POST(HttpRequest.BodyPublishers.ofString(BODY)).build();
		for (int i = 0; i < Integer.parseInt(arguments[0]); i++) {
			try {
				System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
			} catch (java.io.IOException error) {
				System.out.println(error);
			}
		}
	}
}
